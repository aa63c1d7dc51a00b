"""Which face of an image counts, and what a face detector has to offer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from fairness_core.faces.boxes import area_clipped
from fairness_core.types import Faces

__all__ = ["FaceDetector", "largest"]


@runtime_checkable
class FaceDetector(Protocol):
    """Finds the largest face of each image."""

    def detect(self, images: Float[Tensor, "n 3 h w"]) -> Faces:
        """Find the largest face of each image.

        Args:
            images: In [-1, 1].

        Returns:
            Faces on the images' device, in px of the images given.
        """
        ...


def largest(
    boxes: Float[Tensor, "n m 4"],
    scores: Float[Tensor, "n m"],
    landmarks: Float[Tensor, "n m 5 2"],
    size: tuple[int, int],
    *,
    valid: Bool[Tensor, "n m"],
) -> Faces:
    """Pick each image's candidate with the largest area inside the image (method, §1).

    Args:
        boxes: Candidates, px, x0 y0 x1 y1.
        scores: Their confidence in [0, 1].
        landmarks: Their five points, px.
        size: Height and width of the images, px.
        valid: Which candidates there really are.

    Returns:
        The first of the largest candidates; absent where none is valid and partly inside.
    """
    count = len(boxes)
    if boxes.shape[1] == 0:
        return Faces(
            boxes.new_zeros(count, 4),
            landmarks.new_zeros(count, 5, 2),
            scores.new_zeros(count),
            torch.zeros(count, dtype=torch.bool, device=boxes.device),
        )
    area = torch.where(valid, area_clipped(boxes, size), 0.0)
    best = area.max(dim=1)
    present = best.values > 0
    rows = torch.arange(count, device=boxes.device)

    def pick(values: Tensor) -> Tensor:
        chosen = values[rows, best.indices]
        return torch.where(present.view(-1, *[1] * (chosen.ndim - 1)), chosen, 0.0)

    return Faces(pick(boxes), pick(landmarks), pick(scores), present)
