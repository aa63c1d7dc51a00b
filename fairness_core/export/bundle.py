"""The published folder: adapters as stock diffusers loads them, a manifest and a card."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from fairness_core.diffusion import DiffusionStack, insert_soft_tokens
from fairness_core.errors import ArtifactError, ModelError
from fairness_core.export.lora import lora_file
from fairness_core.export.use import (
    BUNDLE_KIND,
    PLACEHOLDER,
    SOFT_TOKENS,
    TOKENS_FILE,
    WEIGHTS_FILE,
)
from fairness_core.runtime.artifacts import atomic_folder, sha256_file, verify, write_manifest

__all__ = ["load_bundle", "weights_sha256", "write_bundle"]

CARD_FILE = "README.md"


def write_bundle(
    folder: str | Path,
    state: Mapping[str, Tensor],
    *,
    card: str,
    facts: Mapping[str, Any],
    alpha: float | None = None,
) -> dict[str, Any]:
    """Write the folder that a stock pipeline of the model's class loads.

    LoRA weights are for ``load_lora_weights(folder)``, with rank and alpha in the file's metadata
    as diffusers writes it. Soft tokens are for ``load_textual_inversion(folder)``: one tensor of k
    rows under the placeholder, which diffusers takes for k tokens ``<evenhand>``,
    ``<evenhand>_1``, ... and puts in place of the placeholder in a prompt.

    Args:
        folder: Written as a whole, replacing what is there.
        state: Adapters as ``diffusion.adapter_state`` names them, live or EMA.
        card: The model card, Markdown.
        facts: What the manifest keeps beside the hashes: base model and its sha256, which weights
            these are, the training classifier's sha256, attributes and targets; JSON values.
        alpha: LoRA alpha of every network; None: each one's rank. Soft tokens have none.

    Returns:
        The manifest.

    Raises:
        ModelError: No adapters, a name that is none of theirs, LoRA weights beside soft tokens, or
            different ranks within one network.
    """
    if not state:
        raise ModelError("There are no adapter weights to publish", do="run finetune first")
    kept: dict[str, Any]
    if set(state) == {SOFT_TOKENS}:
        name, tensors, metadata = TOKENS_FILE, {PLACEHOLDER: state[SOFT_TOKENS].contiguous()}, None
        kept = {"placeholder": PLACEHOLDER}
    else:
        lora = lora_file(state, alpha=alpha)
        # One entry of metadata: safetensors writes several in an order that changes by process.
        metadata = {"lora_adapter_metadata": json.dumps(lora.metadata, sort_keys=True)}
        name, tensors = WEIGHTS_FILE, lora.tensors
        kept = {"rank": lora.rank, "alpha": lora.alpha}
    with atomic_folder(folder) as work:
        save_file(tensors, work / name, metadata=metadata)
        (work / CARD_FILE).write_text(card, encoding="utf-8")
        return write_manifest(work, BUNDLE_KIND, **kept, **facts)


def load_bundle(
    stack: DiffusionStack, folder: str | Path, *, base: str | None = None
) -> dict[str, Any]:
    """Load a bundle into the model, frozen: LoRA weights through diffusers' own loader.

    Soft tokens are put before every prompt that the model then encodes, so that its callers write
    prompts without a placeholder.

    Args:
        stack: Changed in place: its networks get the adapter.
        folder: From `write_bundle`.
        base: The model's `weights_sha256`; a bundle made for another one is refused. None: any.

    Returns:
        The bundle's manifest.

    Raises:
        ArtifactError: A file is missing or damaged, or the folder is no bundle.
        ModelError: The bundle belongs to another base model or does not fit this one.
    """
    manifest = verify(folder, kind=BUNDLE_KIND)
    trained_on = manifest["extra"].get("base_sha256")
    if base is not None and trained_on is not None and trained_on != base:
        raise ModelError(
            "The adapter was trained on another base model",
            given=f"trained on weights {trained_on}, this model has {base}",
            do="load the base model that the bundle's manifest names",
        )
    if TOKENS_FILE in manifest["files"]:
        insert_soft_tokens(stack, load_file(Path(folder) / TOKENS_FILE)[PLACEHOLDER])
    else:
        _load_lora(stack, folder, manifest["extra"]["rank"])
    for network in stack.adaptable.values():
        network.requires_grad_(False).eval()
    return manifest


def _load_lora(stack: DiffusionStack, folder: str | Path, parts: Collection[str]) -> None:
    # diffusers passes over weights of parts that a pipeline does not have.
    foreign = sorted(set(parts) - stack.adaptable.keys())
    if foreign:
        raise ModelError(
            f"The adapter is for a {' and '.join(foreign)}, which the model does not have",
            given=folder,
            do="load the base model that the bundle's manifest names",
        )
    try:
        stack.pipeline().load_lora_weights(
            str(folder), weight_name=WEIGHTS_FILE, local_files_only=True
        )
    except (ValueError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"The adapter does not fit the model ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="load the base model that the bundle's manifest names",
        ) from error


def weights_sha256(folder: str | Path) -> str:
    """SHA-256 over the names and SHA-256 of every safetensors file below a model folder.

    Raises:
        ArtifactError: There is none.
    """
    folder = Path(folder)
    files = sorted(folder.rglob("*.safetensors"))
    if not files:
        raise ArtifactError(
            "A model folder has no safetensors weights", given=folder, do="check the path"
        )
    lines = [f"{file.relative_to(folder).as_posix()} {sha256_file(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
