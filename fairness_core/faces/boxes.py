"""Arithmetic of boxes: px, x0 y0 x1 y1, edges between pixels, so a whole image is 0 0 w h."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["area_clipped", "expand_square", "intersect", "region_mask"]


def area_clipped(boxes: Float[Tensor, "*n 4"], size: tuple[int, int]) -> Float[Tensor, "*n"]:
    """Compute the area of the part of each box that lies inside the image.

    Args:
        boxes: Px, x0 y0 x1 y1; may reach outside the image.
        size: Height and width of the image, px.

    Returns:
        Areas in square px, 0 where nothing is inside.
    """
    height, width = size
    sides = [
        (boxes[..., axis + 2].clamp(max=end) - boxes[..., axis].clamp(min=0)).clamp(min=0)
        for axis, end in ((0, width), (1, height))
    ]
    return sides[0] * sides[1]


def expand_square(boxes: Float[Tensor, "n 4"], factor: float) -> Float[Tensor, "n 4"]:
    """Compute the square around each box's centre whose side is ``factor`` times its longer side.

    Args:
        boxes: Px, x0 y0 x1 y1.
        factor: 1 gives the smallest square around the box with the same centre; 1.5 is a face
            crop (method, §2).

    Returns:
        Boxes that may reach outside the image.
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = factor / 2 * (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return torch.cat([centre - half, centre + half], dim=1)


def intersect(a: Float[Tensor, "n 4"], b: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Compute the overlap of boxes, row by row.

    Returns:
        Boxes, px; where two boxes do not meet, one of zero area.
    """
    start = torch.maximum(a[:, :2], b[:, :2])
    return torch.cat([start, torch.maximum(torch.minimum(a[:, 2:], b[:, 2:]), start)], dim=1)


def region_mask(
    boxes_a: Float[Tensor, "n 4"],
    boxes_b: Float[Tensor, "n 4"],
    present: Bool[Tensor, " n"],
    size: tuple[int, int],
) -> Bool[Tensor, "n 1 h w"]:
    """Mark the pixels whose centres lie in both boxes: the face region of method, §2.

    Args:
        boxes_a: Px, of one image of each pair, expanded already.
        boxes_b: Px, of the other.
        present: Whether both images have a face; without one there is no region.
        size: Height and width of the images, px.
    """
    height, width = size
    box = intersect(boxes_a, boxes_b)[:, :, None]
    x = torch.arange(width, device=box.device) + 0.5
    y = torch.arange(height, device=box.device) + 0.5
    across = (x > box[:, 0]) & (x < box[:, 2])
    down = (y > box[:, 1]) & (y < box[:, 3])
    inside = down[:, :, None] & across[:, None, :]
    return (inside & present[:, None, None])[:, None]
