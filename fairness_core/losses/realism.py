"""Keep faces realistic: pull each face's embedding towards a real one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

from fairness_core.errors import ConfigError
from fairness_core.types import Targets

__all__ = ["face_realism", "own_faces"]


def face_realism(
    embedding: Float[Tensor, "n d"],
    target: Float[Tensor, "n d"],
    present: Bool[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """L_face,i = 1 - cos(emb(face(x_i)), target_i) where there is a face and a target, else 0.

    Args:
        embedding: Face embeddings of the tuned model's images; need not be of unit length.
        target: Embeddings of real faces; no gradient.
        present: Whether the image has a face and a target; other rows may hold anything.

    Returns:
        Terms in [0, 2], with gradient to the present rows only.
    """
    present = present.to(embedding.device)
    # Only present rows enter the cosine: 0 * nan of another row would still be nan.
    precise = torch.promote_types(embedding.dtype, torch.float32)
    real = target.detach().to(embedding.device)[present].to(precise)
    terms = 1.0 - F.cosine_similarity(embedding[present].to(precise), real, dim=-1)
    return terms.new_zeros(embedding.shape[0]).masked_scatter(present, terms)


def own_faces(
    targets: Mapping[str, Targets],
    original_probabilities: Mapping[str, Float[Tensor, "n _"]],
    original_present: Bool[Tensor, " n"],
    *,
    confidence: float,
) -> Bool[Tensor, " n"]:
    """Where the original image's own face is the target of L_face (method, §2).

    Where the original has a face, something is asked of this one, and for every attribute with an
    active target the original is predicted to be of the target class with at least this
    confidence. With several attributes one that disagrees is enough for a real face of the target
    classes, as the original's face would pull away from them (the paper does not say).

    Args:
        targets: Pseudo-labels per attribute.
        original_probabilities: The classifier's view of the frozen model's images, per attribute;
            not read where the original has no face.
        original_present: Whether the frozen model's image has this face.
        confidence: Least probability of the target class in the original, in [0, 1].

    Raises:
        ConfigError: Confidence outside [0, 1].
    """
    if not 0.0 <= confidence <= 1.0:
        raise ConfigError(
            "The confidence for the original's own face is outside [0, 1]",
            given=confidence,
            do="the paper has 0.75 to 0.9",
        )
    agrees = torch.ones_like(original_present)
    asked = torch.zeros_like(original_present)
    for name, target in targets.items():
        active = target.active.to(agrees.device)
        labels = target.labels.to(agrees.device)
        highest, classes = original_probabilities[name].to(agrees.device).max(dim=-1)
        agrees &= ~active | ((classes == labels) & (highest >= confidence))
        asked |= active
    return original_present & asked & agrees
