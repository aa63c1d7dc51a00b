"""How strongly each image, and its face, is held to the frozen model's image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fairness_core.errors import ConfigError
from fairness_core.types import Targets

__all__ = [
    "dynamic_weights",
    "image_weights",
    "region_factors",
    "region_scale",
    "scale_gradient",
]

Unsure = Literal["held", "loosened"]


def dynamic_weights(
    targets: Mapping[str, Targets],
    original_classes: Mapping[str, Int[Tensor, " m"]],
    present: Bool[Tensor, " m"],
    factor1: Mapping[str, float],
    *,
    unsure: Unsure = "held",
) -> Float[Tensor, " m"]:
    """w_i = 1 where target y_i equals the original's class, factor1 where it differs.

    A face that is to change its class may differ more from its original. Several attributes:
    the smallest factor of those that disagree. Weight 1 without a face in both images (the paper
    leaves that open).

    Args:
        targets: Pseudo-labels per attribute, one row per face.
        original_classes: Classes predicted on the frozen model's images, per attribute; not read
            where the original has no face.
        present: Whether the image and the frozen model's both have this face.
        factor1: Factor per attribute, in [0, 1].
        unsure: What becomes of a face whose target is below C. ``loosened``: it disagrees, as in
            the authors' code, which has no class for it; ``held``: nothing asks it to change, so
            that it disagrees in nothing.

    Returns:
        Weights in [0, 1], no gradient.

    Raises:
        ConfigError: A factor or the original's classes missing for an attribute, or a factor
            outside [0, 1].
    """
    return _smallest_factor(targets, original_classes, present, factor1, unsure, "factor1")


def region_factors(
    targets: Mapping[str, Targets],
    original_classes: Mapping[str, Int[Tensor, " m"]],
    present: Bool[Tensor, " m"],
    factor2: Mapping[str, float],
    *,
    unsure: Unsure = "held",
) -> Float[Tensor, " m"]:
    """Factor of the semantics gradient inside the face: factor2 where the classes differ, else 1.

    The rule is that of ``dynamic_weights``, with the same arguments, result and errors. The face
    region itself is empty where either image has no face, so the factor 1 there is never used.
    """
    return _smallest_factor(targets, original_classes, present, factor2, unsure, "factor2")


def image_weights(
    face_weights: Float[Tensor, " m"], image: Int[Tensor, " m"], n: int
) -> Float[Tensor, " n"]:
    """Weight of each image: the smallest of its faces' weights, 1 without a face.

    The semantics loss sees the whole image, so one face that is to change loosens it. With one
    face per image these are the faces' weights (the paper knows one face only).

    Args:
        face_weights: In [0, 1].
        image: The row of each face's image.
        n: Images.
    """
    ones = torch.ones(n, dtype=face_weights.dtype, device=face_weights.device)
    return ones.scatter_reduce(0, image.to(ones.device), face_weights, "amin")


def region_scale(
    mask: Bool[Tensor, "m 1 h w"],
    factor: Float[Tensor, " m"],
    image: Int[Tensor, " m"],
    n: int,
) -> Float[Tensor, "n 1 h w"]:
    """Factor of the semantics gradient at each pixel: the smallest of the faces it lies in, or 1.

    The region is the union of an image's faces.

    Args:
        mask: Each face's region.
        factor: Each face's factor inside it, in [0, 1].
        image: The row of each face's image.
        n: Images.
    """
    scale = torch.ones(n, *mask.shape[1:], dtype=factor.dtype, device=mask.device)
    inside = torch.where(mask, factor.to(mask.device)[:, None, None, None], 1.0)
    rows = image.to(mask.device)[:, None, None, None].expand_as(inside)
    return scale.scatter_reduce(0, rows, inside, "amin")


def scale_gradient(
    images: Float[Tensor, "n c h w"], scale: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n c h w"]:
    """The images unchanged; their gradient times the scale.

    Give the result to the semantics encoders only: the alignment loss must keep its gradient.

    Args:
        images: Any range.
        scale: Factor at each pixel, see ``region_scale``.

    Returns:
        The same values, bit for bit.
    """
    scaled: Tensor = _ScaleGradient.apply(images, scale)  # type: ignore[no-untyped-call]
    return scaled


class _ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by a constant."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(scale)
        return images.view_as(images)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return grads[0] * scale.to(grads[0].dtype), None


def _smallest_factor(
    targets: Mapping[str, Targets],
    classes: Mapping[str, Tensor],
    present: Tensor,
    factors: Mapping[str, float],
    unsure: Unsure,
    name: str,
) -> Tensor:
    """Per row, the smallest factor of the attributes that disagree; 1 if none does."""
    for given, what in ((factors, name), (classes, "class of the originals")):
        missing = [attribute for attribute in targets if attribute not in given]
        if missing:
            raise ConfigError(f"There is no {what} for {', '.join(missing)}", given=list(given))
    weights = torch.ones(present.shape[0], dtype=torch.float32, device=present.device)
    for attribute, target in targets.items():
        factor = float(factors[attribute])
        if not 0.0 <= factor <= 1.0:
            raise ConfigError(f"{name} of '{attribute}' is outside [0, 1]", given=factor)
        labels, active = target.labels.to(present.device), target.active.to(present.device)
        differs = labels != classes[attribute].to(present.device)
        disagrees = active & differs if unsure == "held" else ~active | differs
        weights = torch.where(present & disagrees, weights.clamp(max=factor), weights)
    return weights
