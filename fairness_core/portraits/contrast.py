"""Contrastive losses: pairs that belong together are closer than all others of the batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

__all__ = ["contrast_texts", "contrast_views"]


def contrast_texts(
    images: Float[Tensor, "n d"],
    texts: Float[Tensor, "n d"],
    scale: Tensor,
    same: Float[Tensor, "n n"],
) -> Tensor:
    """CLIP's symmetric loss (Radford et al. 2021) in which equal captions all count as right.

    Args:
        images: Unit vectors.
        texts: Unit vectors of their captions.
        scale: Factor on the cosines.
        same: 1 where two captions of the batch are equal.
    """
    wanted = same / same.sum(dim=1, keepdim=True)
    alike = scale * images @ texts.T
    loss: Tensor = functional.cross_entropy(alike, wanted)
    return (loss + functional.cross_entropy(alike.T, wanted)) / 2


def contrast_views(vectors: Float[Tensor, "m d"], temperature: float) -> Tensor:
    """NT-Xent (Chen et al. 2020): rows i and i + m / 2 are two views of one picture."""
    n = len(vectors) // 2
    alike = vectors @ vectors.T / temperature
    alike = alike.masked_fill(torch.eye(2 * n, dtype=torch.bool), float("-inf"))
    return functional.cross_entropy(alike, torch.arange(2 * n).roll(n))
