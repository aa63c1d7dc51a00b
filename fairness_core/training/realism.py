"""Face realism of a batch: embed the tuned faces, choose a real face for each, take the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.alignment import take_rows
from fairness_core.embeddings import FACE_SIZE, FaceBank, FaceNetwork
from fairness_core.faces import align_five_points
from fairness_core.losses import face_realism, own_faces
from fairness_core.training.perceive import Perceived
from fairness_core.types import Targets

__all__ = ["Realism", "realism_terms"]


@dataclass(frozen=True)
class Realism:
    """What the realism loss looks through: an embedder and a bank made with it."""

    embedder: FaceNetwork
    bank: FaceBank


def realism_terms(
    realism: Realism,
    images: Float[Tensor, "n 3 h w"],
    seen: Perceived,
    originals: Float[Tensor, "n 3 h w"],
    originally: Perceived,
    targets: Mapping[str, Targets],
    *,
    own_face_confidence: float,
) -> Float[Tensor, " m"]:
    """L_face,i = 1 - cos(emb(face(x_i)), target_i) of each face (method, §2).

    The target is the original image's own face where ``own_faces`` says so, else the nearest face
    of the bank with the target classes; neither has a gradient. A face of which nothing is asked
    goes to the nearest of the whole bank. The gradient reaches the images through the five-point
    warp; embedder and landmarks are fixed.

    Args:
        realism: Embedder and bank.
        images: The tuned model's, about [-1, 1].
        seen: Their faces.
        originals: The frozen model's images.
        originally: The face in them that belongs to each row of ``seen``.
        targets: Pseudo-labels of the rows of ``seen``.
        own_face_confidence: See ``own_faces``.

    Returns:
        Terms in [0, 2], 0 where there is no face.
    """
    rows = torch.nonzero(seen.faces.present).flatten()
    count = len(seen.image)
    if not len(rows):
        return torch.zeros(count, device=images.device)
    seen, originally = seen.take(rows), originally.take(rows)
    targets = {name: take_rows(target, rows.cpu()) for name, target in targets.items()}
    embedding = _embed(realism.embedder, images, seen)
    with torch.no_grad():
        own = own_faces(
            targets,
            originally.probabilities,
            originally.faces.present,
            confidence=own_face_confidence,
        )
        real = realism.bank.vectors[realism.bank.nearest(embedding, targets)].to(embedding)
        if bool(own.any()):
            own_rows = torch.nonzero(own).flatten()
            real[own_rows] = _embed(realism.embedder, originals, originally.take(own_rows))
    terms = face_realism(embedding, real, seen.faces.present)
    return terms.new_zeros(count).index_copy(0, rows, terms)


def _embed(
    embedder: FaceNetwork, images: Float[Tensor, "n 3 h w"], faces: Perceived
) -> Float[Tensor, "m d"]:
    """Unit vectors of the aligned faces, all of which are present."""
    aligned = align_five_points(
        images[faces.image], faces.faces.landmarks, faces.faces.present, size=FACE_SIZE
    )
    return embedder.embed(aligned)
