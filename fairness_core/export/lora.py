"""LoRA weights in the form that stock diffusers' ``load_lora_weights`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from diffusers.utils import convert_state_dict_to_diffusers
from torch import Tensor

from fairness_core.diffusion.adapters import TARGETS
from fairness_core.errors import ModelError

__all__ = ["LoraFile", "lora_file"]


@dataclass(frozen=True)
class LoraFile:
    """What goes into the weights file.

    Attributes:
        tensors: By the names that released loaders know.
        metadata: peft's settings as ``<network>.<setting>``: without them a reader guesses alpha.
        rank: Per network.
        alpha: Per network.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, Any]
    rank: dict[str, int]
    alpha: dict[str, float]


def lora_file(state: Mapping[str, Tensor], *, alpha: float | None) -> LoraFile:
    """Name the tensors and say with which rank and alpha they were trained.

    Args:
        state: LoRA weights as ``diffusion.adapter_state`` names them.
        alpha: Of every network; None: each one's rank.

    Raises:
        ModelError: A name that is neither a text encoder's nor the network's, or different ranks
            within one network.
    """
    parts = _parts(state)
    rank = {part: _rank(part, weights) for part, weights in parts.items()}
    alphas = {part: rank[part] if alpha is None else alpha for part in parts}
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, Any] = {}
    for part, weights in parts.items():
        named = _published(part, weights)
        tensors |= {f"{part}.{name}": value.contiguous() for name, value in named.items()}
        settings = {
            "r": rank[part],
            "lora_alpha": alphas[part],
            "target_modules": sorted(TARGETS[part]),
            "lora_dropout": 0.0,
            "bias": "none",
        }
        metadata |= {f"{part}.{key}": value for key, value in settings.items()}
    return LoraFile(dict(sorted(tensors.items())), metadata, rank, alphas)


def _parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        part, _, rest = name.partition(".")
        if part not in TARGETS or not rest.endswith((".lora_A.weight", ".lora_B.weight")):
            raise ModelError(
                "A weight is no LoRA weight of a text encoder or the network", given=name
            )
        parts.setdefault(part, {})[rest] = value
    return parts


def _rank(part: str, weights: Mapping[str, Tensor]) -> int:
    ranks = {
        value.shape[0] if name.endswith(".lora_A.weight") else value.shape[1]
        for name, value in weights.items()
    }
    if len(ranks) != 1:
        raise ModelError(f"The adapter of the {part} has several ranks", given=sorted(ranks))
    return int(ranks.pop())


def _published(part: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names that released loaders know; a text encoder's as before transformers 5 too."""
    if not part.startswith("text_encoder"):
        return dict(weights)
    older = {
        name if name.startswith("text_model.") else f"text_model.{name}": value
        for name, value in weights.items()
    }
    return dict(convert_state_dict_to_diffusers(older))
