"""Fill a face bank: detect, align and embed labelled pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.embeddings import FACE_SIZE, FaceNetwork
from fairness_core.errors import FaceError
from fairness_core.faces import FaceDetector, align_five_points
from fairness_core.types import LabelledImage

__all__ = ["EmbeddedFaces", "embed_faces"]


@dataclass(frozen=True)
class EmbeddedFaces:
    """What a bank is written from.

    Attributes:
        vectors: Unit vectors.
        table: One row for each: source_id, and per attribute the class name, null where unknown.
        without_face: Pictures in which no face was found.
    """

    vectors: Float[Tensor, "b d"]
    table: pd.DataFrame
    without_face: int


@torch.no_grad()
def embed_faces(
    pictures: Iterable[LabelledImage],
    space: AttributeSpace,
    detector: FaceDetector,
    embedder: FaceNetwork,
    *,
    batch_size: int,
) -> EmbeddedFaces:
    """Embed the largest face of each picture as the loss embeds generated ones.

    Args:
        pictures: Read once; sizes may differ.
        space: The attributes whose labels are kept.
        detector: Finds the faces; the training's own, so that the landmarks mean the same.
        embedder: The training's own.
        batch_size: Pictures per network call, >= 1.

    Raises:
        FaceError: No picture has a face.
    """
    vectors, rows, missed = [], [], 0
    device = embedder.device
    for batch in _batches(pictures, batch_size):
        images = torch.stack([picture.image for picture in batch])
        faces = detector.detect(images)
        kept = torch.nonzero(faces.present).flatten()
        missed += len(batch) - len(kept)
        if not len(kept):
            continue
        found = faces.take(kept)
        aligned = align_five_points(images[kept], found.landmarks, found.present, size=FACE_SIZE)
        vectors.append(embedder.embed(aligned.to(device)).cpu())
        for index in kept.tolist():
            labels = {name: batch[index].labels.get(name) for name in space.names}
            rows.append({"source_id": batch[index].source_id, **labels})
    if not rows:
        raise FaceError(
            "No picture of the source has a face",
            given=f"{missed} pictures",
            do="check the source, or models.detector and its size",
        )
    table = pd.DataFrame(rows, columns=["source_id", *space.names], dtype="object")
    return EmbeddedFaces(torch.cat(vectors), table, missed)


def _batches(pictures: Iterable[LabelledImage], most: int) -> Iterator[list[LabelledImage]]:
    """Runs of pictures of one size."""
    batch: list[LabelledImage] = []
    for picture in pictures:
        if batch and (len(batch) == most or picture.image.shape != batch[0].image.shape):
            yield batch
            batch = []
        batch.append(picture)
    if batch:
        yield batch
