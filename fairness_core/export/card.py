"""The bundle's model card: what the weights are, how to load them, what they do not promise.

It is written before anything is measured and holds no figures; the evaluation's card does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fairness_core.export.told import BundleTargets
from fairness_core.export.use import use_of

__all__ = ["BundleFacts", "bundle_card"]

_CARD = """---
{front}
---

# Adapter towards a chosen distribution of perceived attributes

{what} for `{base}`. Prompts that leave an attribute open give images whose shares of
*perceived* attributes come closer to a target that its makers chose:

{targets}

## Use

```python
{code}
```

{notes}

The weights belong to one base model, whose safetensors files have the combined SHA-256
`{base_sha256}`.

## How it was made

Adjusted direct finetuning of the base model (Shen et al., *Finetuning Text-to-Image Diffusion
Models for Fairness*, ICLR 2024): {iterations} iterations of {images_per_prompt} images of one
prompt, guidance {guidance:g}, sampled with {sampler}, seed {seed};
these are the {weights} weights. The targets of each iteration come from a classifier (SHA-256
`{classifier_sha256}`), never the one that measures.

## What it does not promise

* An attribute here is what a classifier sees in a generated face. It is nobody's identity, and the
  classes are few and coarse.
* The balance was trained at one guidance scale, with one sampler and for prompts of one face; it
  drifts elsewhere.
* It holds on average over many images, not within a single one or a small set.
* Stereotypes in posture, clothing, setting or dignity are not measured and not corrected.
* It inherits everything else from the base model, its licence and its faults included.

How far the shares moved, on prompts held out from training and with intervals, is in the
evaluation of the run that made these weights.
"""

_WEIGHTS = {"ema": "averaged (EMA)", "live": "last"}


@dataclass(frozen=True)
class BundleFacts:
    """Where a bundle comes from; kept in its manifest.

    Attributes:
        base_model: Name or folder of the base model.
        base_sha256: Its ``weights_sha256``.
        classifier_sha256: Of the training classifier's weights file.
        weights: ``ema`` or ``live``.
        soft_tokens: How many; 0 for LoRA weights.
        targets: What they were trained to.
        iterations: Iterations trained.
        images_per_prompt: N.
        guidance: Guidance in training.
        sampler: See ``sampler_facts``.
        seed: The run's seed.
    """

    base_model: str
    base_sha256: str
    classifier_sha256: str
    weights: str
    soft_tokens: int
    targets: BundleTargets
    iterations: int
    images_per_prompt: int
    guidance: float
    sampler: Mapping[str, Any]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return told | {"sampler": dict(self.sampler)} | self.targets.as_dict()


def bundle_card(facts: BundleFacts) -> str:
    """Write the README.md of a bundle, with the front matter that the Hugging Face Hub reads."""
    use = use_of(facts.soft_tokens, facts.sampler)
    front = {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-image",
        "tags": ["text-to-image", "diffusers", use.tag, "fairness"],
    }
    return _CARD.format(
        what=use.what,
        code=use.code,
        notes=use.notes,
        front="\n".join(f"{key}: {json.dumps(value)}" for key, value in front.items()),
        targets=facts.targets.text(),
        base=facts.base_model,
        base_sha256=facts.base_sha256,
        iterations=facts.iterations,
        images_per_prompt=facts.images_per_prompt,
        guidance=facts.guidance,
        sampler=_sampler(facts.sampler),
        seed=facts.seed,
        weights=_WEIGHTS[facts.weights],
        classifier_sha256=facts.classifier_sha256,
    )


def _sampler(told: Mapping[str, Any]) -> str:
    if told["name"] is None:
        return f"the base model's own {told['scheduler']}"
    return f"{told['name']} ({told['scheduler']}, as set above)"
