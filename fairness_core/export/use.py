"""What a bundle is called and how stock diffusers loads it, for every card that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "BUNDLE_KIND",
    "PLACEHOLDER",
    "SOFT_TOKENS",
    "TOKENS_FILE",
    "WEIGHTS_FILE",
    "Use",
    "use_of",
]

BUNDLE_KIND = "adapter-bundle"
# The names that diffusers' loaders look for in a folder.
WEIGHTS_FILE = "pytorch_lora_weights.safetensors"
TOKENS_FILE = "learned_embeds.safetensors"
# The soft tokens' name in a training state, and the word that stands for them in a prompt.
SOFT_TOKENS = "soft_prompt.tokens"
PLACEHOLDER = "<evenhand>"

_PIPELINE = """from diffusers import {names}

pipeline = DiffusionPipeline.from_pretrained("PATH/OF/THE/BASE/MODEL")
"""
_SCHEDULER = """pipeline.scheduler = {scheduler}.from_config(
    pipeline.scheduler.config{options}
)
"""

_LORA_NOTES = """LoRA rank and alpha stand in the file's metadata, which diffusers reads since 0.34;
an older one takes alpha for the rank."""

_TOKEN_NOTES = """Write `{placeholder}` and a space before every prompt; diffusers puts the {count}
tokens in its place. Leave the negative prompt without them. They take {count} of the tokens that
the text encoder reads: a stock pipeline cuts the end of a prompt that no longer fits."""


@dataclass(frozen=True)
class Use:
    """Texts about a bundle.

    Attributes:
        what: What the weights are, such as ``LoRA weights``.
        code: Python lines that load them.
        notes: What to know beside, Markdown.
        tag: The Hub's word for the kind.
        file: Name of the weights file.
    """

    what: str
    code: str
    notes: str
    tag: str
    file: str


def use_of(soft_tokens: int, sampler: Mapping[str, Any] | None = None) -> Use:
    """Describe a bundle of so many soft tokens, or of LoRA weights if there are none.

    Args:
        soft_tokens: How many; 0 for LoRA weights.
        sampler: From ``sampler_facts``, which the code sets where it is not the base model's own;
            None: nothing is known of it, as of bundles that do not say.
    """
    pipeline = _pipeline(sampler)
    if not soft_tokens:
        return Use(
            what="LoRA weights",
            code=pipeline + 'pipeline.load_lora_weights("PATH/OF/THE/BUNDLE")',
            notes=_LORA_NOTES,
            tag="lora",
            file=WEIGHTS_FILE,
        )
    prompt = f"{PLACEHOLDER} a photo of the face of a nurse, a person"
    return Use(
        what=f"Soft prefix tokens ({soft_tokens})",
        code=pipeline
        + 'pipeline.load_textual_inversion("PATH/OF/THE/BUNDLE")\n'
        + f'image = pipeline("{prompt}").images[0]',
        notes=_TOKEN_NOTES.format(placeholder=PLACEHOLDER, count=soft_tokens),
        tag="textual_inversion",
        file=TOKENS_FILE,
    )


def _pipeline(sampler: Mapping[str, Any] | None) -> str:
    if sampler is None or sampler["name"] is None:
        return _PIPELINE.format(names="DiffusionPipeline")
    options = "".join(
        f", {key}={json.dumps(v)}" if isinstance(v, str) else f", {key}={v!r}"
        for key, v in sampler["options"].items()
    )
    names = ", ".join(sorted(("DiffusionPipeline", sampler["scheduler"])))
    told = _SCHEDULER.format(scheduler=sampler["scheduler"], options=options)
    return _PIPELINE.format(names=names) + told
