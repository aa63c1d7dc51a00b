"""Which faces of an image count, and what a face detector has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fairness_core.faces.boxes import area_clipped
from fairness_core.types import Faces

__all__ = ["ChainedDetector", "FaceDetector", "every", "join_faces", "largest"]


@runtime_checkable
class FaceDetector(Protocol):
    """Finds the faces of images."""

    def detect(self, images: Float[Tensor, "n 3 h w"]) -> Faces:
        """Find the largest face of each image.

        Args:
            images: In [-1, 1].

        Returns:
            Faces on the images' device, in px of the images given.
        """
        ...

    def detect_all(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Faces, Int[Tensor, " m"]]:
        """Find every face of each image.

        Args:
            images: In [-1, 1].

        Returns:
            Faces, all of them present, and the row of each one's image, ascending; the faces of an
            image largest first. An image without a face has no row.
        """
        ...


class ChainedDetector:
    """A detector, and a second one for the images in which the first finds no face (method, §5)."""

    def __init__(self, first: FaceDetector, second: FaceDetector) -> None:
        self.first, self.second = first, second

    def detect(self, images: Float[Tensor, "n 3 h w"]) -> Faces:
        """Find the largest face of each image, see ``FaceDetector.detect``."""
        found = self.first.detect(images)
        missed = torch.nonzero(~found.present).flatten()
        if not len(missed):
            return found
        order = torch.arange(len(images), device=missed.device)
        order[missed] = len(images) + torch.arange(len(missed), device=missed.device)
        return join_faces([found, self.second.detect(images[missed])]).take(order)

    def detect_all(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Faces, Int[Tensor, " m"]]:
        """Find every face of each image, see ``FaceDetector.detect_all``."""
        found, image = self.first.detect_all(images)
        with_face = torch.zeros(len(images), dtype=torch.bool, device=image.device)
        with_face[image] = True
        missed = torch.nonzero(~with_face).flatten()
        if not len(missed):
            return found, image
        more, row = self.second.detect_all(images[missed])
        image = torch.cat([image, missed[row]])
        order = image.argsort(stable=True)
        return join_faces([found, more]).take(order), image[order]


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


def every(
    boxes: Float[Tensor, "n m 4"],
    scores: Float[Tensor, "n m"],
    landmarks: Float[Tensor, "n m 5 2"],
    size: tuple[int, int],
    *,
    valid: Bool[Tensor, "n m"],
) -> tuple[Faces, Int[Tensor, " f"]]:
    """Pick every candidate that lies partly inside its image.

    Args:
        boxes: Candidates, px, x0 y0 x1 y1.
        scores: Their confidence in [0, 1].
        landmarks: Their five points, px.
        size: Height and width of the images, px.
        valid: Which candidates there really are.

    Returns:
        The faces and the row of each one's image, ascending; an image's largest face first, so
        that it is the one that ``largest`` picks.
    """
    area = torch.where(valid, area_clipped(boxes, size), 0.0)
    order = area.argsort(dim=1, descending=True, stable=True)
    rows = torch.arange(len(boxes), device=boxes.device)[:, None].expand_as(order)
    real = area[rows, order] > 0
    image, chosen = rows[real], order[real]
    present = torch.ones(len(image), dtype=torch.bool, device=boxes.device)
    faces = Faces(boxes[image, chosen], landmarks[image, chosen], scores[image, chosen], present)
    return faces, image


def join_faces(parts: Sequence[Faces]) -> Faces:
    """The rows of several batches, at least one, after each other."""
    return Faces(
        boxes=torch.cat([part.boxes for part in parts]),
        landmarks=torch.cat([part.landmarks for part in parts]),
        scores=torch.cat([part.scores for part in parts]),
        present=torch.cat([part.present for part in parts]),
    )
