"""Turn the nine outputs of an SCRFD detector into candidate faces (Guo et al. 2021).

At each cell of a level sit two anchors, at the cell's upper left corner. An anchor has a score, the
distances from itself to the four sides of its box, and the offsets of five landmarks, both in
units of the level's stride. This file decodes whole batches; insightface decodes one image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["ANCHORS", "NMS_OVERLAP", "STRIDES", "candidates", "decode", "suppress"]

STRIDES = (8, 16, 32)
ANCHORS = 2
NMS_OVERLAP = 0.4


def decode(
    outputs: Sequence[Float[Tensor, "n _ _"]], size: tuple[int, int]
) -> tuple[Float[Tensor, "n a 4"], Float[Tensor, "n a"], Float[Tensor, "n a 5 2"]]:
    """Compute boxes, scores and landmarks of every anchor, stride 8 first.

    Args:
        outputs: Scores (n, anchors, 1) of strides 8, 16, 32, then box distances (.., 4), then
            landmark offsets (.., 10).
        size: Height and width of the network's input, px.

    Returns:
        Boxes (px of the network's input, x0 y0 x1 y1), scores, landmarks (px).
    """
    boxes, scores, landmarks = [], [], []
    for level, stride in enumerate(STRIDES):
        score, distance, offset = outputs[level], outputs[level + 3], outputs[level + 6]
        anchors = _anchors(size, stride, score.device)
        distance, offset = distance * stride, offset * stride
        boxes.append(torch.cat([anchors - distance[..., :2], anchors + distance[..., 2:]], dim=-1))
        landmarks.append(anchors[:, None] + offset.unflatten(-1, (5, 2)))
        scores.append(score[..., 0])
    return torch.cat(boxes, dim=1), torch.cat(scores, dim=1), torch.cat(landmarks, dim=1)


def candidates(
    outputs: Sequence[Float[Tensor, "n _ _"]], size: tuple[int, int], threshold: float
) -> tuple[
    Float[Tensor, "n m 4"], Float[Tensor, "n m"], Float[Tensor, "n m 5 2"], Bool[Tensor, "n m"]
]:
    """Keep the anchors that reach the threshold and overlap no better one.

    Args:
        outputs: The network's, see ``decode``.
        size: Height and width of the network's input, px.
        threshold: Lowest score.

    Returns:
        Boxes, scores and landmarks, best score first, and which of them are kept.
    """
    boxes, scores, landmarks = decode(outputs, size)
    passing = scores >= threshold
    most = int(passing.sum(dim=1).max()) if len(scores) else 0
    order = torch.where(passing, scores, -torch.inf).argsort(dim=1, descending=True, stable=True)
    order = order[:, :most]
    rows = torch.arange(len(order), device=order.device)[:, None]
    boxes, scores, landmarks = boxes[rows, order], scores[rows, order], landmarks[rows, order]
    return boxes, scores, landmarks, suppress(boxes, passing[rows, order])


def suppress(
    boxes: Float[Tensor, "n m 4"], valid: Bool[Tensor, "n m"], overlap: float = NMS_OVERLAP
) -> Bool[Tensor, "n m"]:
    """Drop every box that covers a better one, batch-wise (greedy non-maximum suppression).

    Widths count one pixel more than x1 - x0, as insightface's do.

    Args:
        boxes: Px, best first.
        valid: Which boxes there really are.
        overlap: Intersection over union above which the worse box goes.

    Returns:
        Which boxes stay.
    """
    area = (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)
    keep = valid.clone()
    for best in range(boxes.shape[1]):
        one = boxes[:, best : best + 1]
        start = torch.maximum(boxes[..., :2], one[..., :2])
        end = torch.minimum(boxes[..., 2:], one[..., 2:])
        common = (end - start + 1).clamp(min=0).prod(dim=-1)
        covered = common / (area + area[:, best : best + 1] - common) > overlap
        covered[:, : best + 1] = False
        keep &= ~(covered & keep[:, best : best + 1])
    return keep


def _anchors(size: tuple[int, int], stride: int, device: torch.device) -> Float[Tensor, "a 2"]:
    """Places x y of a level's anchors, row by row, the two of a cell after each other."""
    y, x = torch.meshgrid(
        torch.arange(size[0] // stride, device=device),
        torch.arange(size[1] // stride, device=device),
        indexing="ij",
    )
    places = torch.stack([x, y], dim=-1).view(-1, 1, 2) * stride
    return places.expand(-1, ANCHORS, 2).reshape(-1, 2).float()
