"""What the detector learns from: which anchor answers for a face, and how far off it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

__all__ = ["ANCHORS", "STRIDES", "Anchors", "anchors_for", "assign", "detection_loss", "overlap"]

STRIDES = (8, 16, 32)
ANCHORS = 2
# Face sizes (square root of the area) that each anchor of a cell answers for, in strides. They
# overlap, so that a face between two anchors is found by both and merged afterwards.
SIZES = ((1.5, 3.0), (2.5, 6.0))
REACH = 1.25


@dataclass(frozen=True)
class Anchors:
    """Where every anchor sits, its stride and the face sizes it answers for, pixels."""

    centres: Float[Tensor, "a 2"]
    strides: Float[Tensor, " a"]
    smallest: Float[Tensor, " a"]
    largest: Float[Tensor, " a"]


def anchors_for(size: int) -> Anchors:
    """Every anchor of a square input, level by level as the network returns them.

    Args:
        size: Side of the input, pixels, a multiple of 32.
    """
    centres, strides, low, high = [], [], [], []
    for stride in STRIDES:
        line = torch.arange(size // stride).float() * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        cells = torch.stack([x, y], dim=-1).reshape(-1, 2).repeat_interleave(ANCHORS, dim=0)
        ranges = (torch.tensor(SIZES) * stride).repeat(len(cells) // ANCHORS, 1)
        centres.append(cells)
        strides.append(torch.full((len(cells),), float(stride)))
        low.append(ranges[:, 0])
        high.append(ranges[:, 1])
    return Anchors(torch.cat(centres), torch.cat(strides), torch.cat(low), torch.cat(high))


def assign(
    anchors: Anchors, boxes: Float[Tensor, "n 4"], present: Bool[Tensor, " n"]
) -> Bool[Tensor, "n a"]:
    """Which anchors answer for each image's face: of its size and near its centre."""
    middle = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    side = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1).sqrt()[:, None]
    near = (middle - anchors.centres).abs().amax(dim=2) <= REACH * anchors.strides
    return near & (side >= anchors.smallest) & (side < anchors.largest) & present[:, None]


def overlap(a: Float[Tensor, "m 4"], b: Float[Tensor, "m 4"]) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al. 2019) of paired boxes."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    area_a = (a[:, 2:] - a[:, :2]).clamp(min=0).prod(dim=1)
    union = area_a + (b[:, 2:] - b[:, :2]).prod(dim=1) - shared
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    outer = hull.clamp(min=0).prod(dim=1).clamp(min=1e-6)
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (outer - union) / outer


def detection_loss(
    outputs: tuple[list[Tensor], list[Tensor], list[Tensor]],
    anchors: Anchors,
    boxes: Float[Tensor, "n 4"],
    landmarks: Float[Tensor, "n 5 2"],
    present: Bool[Tensor, " n"],
) -> Tensor:
    """Quality focal loss on the scores (Li et al. 2020), GIoU on boxes, L1 on landmarks."""
    scores, distances, offsets = (torch.cat(part, dim=1) for part in outputs)
    chosen = assign(anchors, boxes, present)
    rows, columns = chosen.nonzero(as_tuple=True)
    centre, stride = anchors.centres[columns], anchors.strides[columns, None]
    reach = distances[rows, columns] * stride
    found = torch.cat([centre - reach[:, :2], centre + reach[:, 2:]], dim=1)
    iou, generalised = overlap(found, boxes[rows])
    wanted = torch.zeros_like(scores[..., 0])
    wanted[rows, columns] = iou.detach().clamp(0, 1)
    logit = scores[..., 0]
    cross = functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    focal = (cross * (logit.sigmoid().detach() - wanted).abs()).sum()
    points = (landmarks[rows] - centre[:, None]) / stride[:, None]
    miss = functional.smooth_l1_loss(
        offsets[rows, columns], points.flatten(1), reduction="sum", beta=0.1
    )
    total: Tensor = (3 * focal + 2 * (1 - generalised).sum() + miss) / max(1, len(rows))
    return total
