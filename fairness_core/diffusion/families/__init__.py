"""One small interface for every text-to-image pipeline class that can be finetuned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairness_core.diffusion.families.base import Family
from fairness_core.diffusion.families.flux import Flux
from fairness_core.diffusion.families.stable_diffusion import StableDiffusion
from fairness_core.diffusion.families.stable_diffusion_3 import StableDiffusion3
from fairness_core.diffusion.families.stable_diffusion_xl import StableDiffusionXL
from fairness_core.errors import ModelError

__all__ = ["FAMILIES", "Family", "Flux", "StableDiffusion", "StableDiffusion3", "StableDiffusionXL"]

FAMILIES: dict[str, type[Family]] = {
    family.pipeline.__name__: family
    for family in (StableDiffusion, StableDiffusionXL, StableDiffusion3, Flux)
}


def family_of(index: Mapping[str, Any]) -> Family:
    """Find the family of a pipeline.

    Args:
        index: Content of its ``model_index.json``.

    Raises:
        ModelError: The pipeline's class is none that can be finetuned.
    """
    name = index.get("_class_name")
    if name not in FAMILIES:
        raise ModelError(
            "The pipeline's class is not supported",
            given=name,
            do=f"use a {', '.join(FAMILIES)}",
        )
    return FAMILIES[name].from_index(index)
