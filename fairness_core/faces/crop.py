"""Cut square faces out of images, sharply or smoothly as the scale asks, and differentiably."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fairness_core.faces.boxes import expand_square

__all__ = ["crop_faces"]

PADDING = -1.0


def crop_faces(
    images: Float[Tensor, "n 3 h w"],
    boxes: Float[Tensor, "n 4"],
    present: Bool[Tensor, " n"],
    *,
    size: int,
    enlarge: float = 1.5,
) -> Float[Tensor, "n 3 s s"]:
    """Resample the square of side ``enlarge * max(w, h)`` around each box (method, §2).

    The square is axis-parallel, so a crop is ``D (x + 1) A^T - 1`` with one sparse matrix for each
    direction. Their rows hold a triangle filter: plain bilinear interpolation where the crop
    magnifies, widened by the scale where it shrinks, so that no detail turns into moire. Whatever
    lies outside the image is -1.

    Args:
        images: In [-1, 1].
        boxes: Px, x0 y0 x1 y1; no gradient reaches them.
        present: Whether the image has a face.
        size: Side of the crops, px.
        enlarge: Side of the square over the box's longer side.

    Returns:
        Crops in [-1, 1]; -1 everywhere where no face is present.
    """
    height, width = images.shape[-2:]
    squares = expand_square(boxes.detach().to(images.dtype), enlarge)
    # A square of one pixel keeps the rows without a face, which are zero boxes, finite.
    squares = torch.where(present[:, None], squares, squares.new_tensor([0.0, 0.0, 1.0, 1.0]))
    across = _filters(squares[:, 0], squares[:, 2], size, width)
    down = _filters(squares[:, 1], squares[:, 3], size, height)
    inside = images - PADDING
    crops = torch.einsum("nsh,nchw,ntw->ncst", down, inside, across) + PADDING
    return torch.where(present[:, None, None, None], crops, PADDING)


def _filters(
    start: Float[Tensor, " n"], end: Float[Tensor, " n"], size: int, length: int
) -> Float[Tensor, "n s length"]:
    """Weights of ``length`` pixels in each of ``size`` samples between ``start`` and ``end``.

    A row sums to 1 over the endless line of pixels, so over the image it sums to the share of the
    filter that lies inside.
    """
    scale = ((end - start) / size).clamp(min=1e-6)
    steps = torch.arange(size, device=start.device, dtype=start.dtype) + 0.5
    # Pixel i covers [i, i + 1), its value sits in the middle.
    centres = start[:, None] + scale[:, None] * steps - 0.5
    reach = scale.clamp(min=1.0)[:, None]
    widest = math.ceil(float(reach.max())) if len(reach) else 1
    taps = torch.arange(-widest, widest + 1, device=start.device, dtype=start.dtype)
    offset = (centres - centres.round())[..., None] - taps
    total = (1 - offset.abs() / reach[..., None]).clamp(min=0).sum(-1)
    pixels = torch.arange(length, device=start.device, dtype=start.dtype)
    weights = (1 - (centres[..., None] - pixels).abs() / reach[..., None]).clamp(min=0)
    return weights / total[..., None]
