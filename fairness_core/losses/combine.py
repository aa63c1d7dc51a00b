"""The total loss of one iteration, in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from fairness_core.errors import ConfigError

__all__ = ["LossParts", "total"]


@dataclass(frozen=True)
class LossParts:
    """The loss and what it is made of; each part before its lambda, each a share of a global mean.

    Attributes:
        total: What to differentiate.
        align: L_align, summed over attributes.
        image: Mean of w_i L_img,i.
        face: Mean of L_face,i.
        per_attribute: L_align of each attribute.
    """

    total: Float[Tensor, ""]
    align: Float[Tensor, ""]
    image: Float[Tensor, ""]
    face: Float[Tensor, ""]
    per_attribute: Mapping[str, Float[Tensor, ""]]


def total(
    align_terms: Mapping[str, Float[Tensor, " m"]],
    image_terms: Float[Tensor, " n"],
    weights: Float[Tensor, " n"],
    face_terms: Float[Tensor, " m"] | None = None,
    *,
    lambda_image: float,
    lambda_face: float = 0.0,
    n_faces: int,
    n_images: int,
) -> LossParts:
    """L = sum_a L_align,a + lambda_img mean_i(w_i L_img,i) + lambda_face mean_i(L_face,i).

    The alignment and face terms are divided by the number of faces, the semantics terms by the
    number of images, as an image without a face still has semantics to keep (the paper does not
    say). Both counts are those of the whole batch over all processes, so that the processes'
    totals add up to the loss of the batch.

    Args:
        align_terms: ``alignment_terms`` per attribute, of this process's faces.
        image_terms: ``semantic_loss`` of this process's images.
        weights: ``image_weights`` of these images.
        face_terms: ``face_realism`` of these faces; None leaves the term out.
        lambda_image: Weight of the semantics term, >= 0.
        lambda_face: Weight of the face term, >= 0.
        n_faces: Faces in the tuned images, over all processes; may be 0.
        n_images: Images over all processes, at least 1.

    Returns:
        Total and parts, as sums over these rows divided by the global counts.

    Raises:
        ConfigError: No attribute, a negative lambda, impossible counts, or a face weight without
            face terms.
    """
    if not align_terms:
        raise ConfigError("There is no attribute to align")
    if lambda_image < 0 or lambda_face < 0:
        raise ConfigError("A loss weight is negative", given=(lambda_image, lambda_face))
    if n_images < 1 or n_faces < 0:
        raise ConfigError(
            "The batch needs an image, and faces cannot be fewer than none",
            given=(n_faces, n_images),
        )
    if face_terms is None and lambda_face > 0:
        raise ConfigError("The face term has a weight but no terms", given=lambda_face)
    faces = max(n_faces, 1)
    per_attribute = {name: terms.sum() / faces for name, terms in align_terms.items()}
    align = sum(per_attribute.values(), start=image_terms.new_zeros(()))
    image = (weights.to(image_terms) * image_terms).sum() / n_images
    face = image_terms.new_zeros(()) if face_terms is None else face_terms.sum() / faces
    return LossParts(
        total=align + lambda_image * image + lambda_face * face,
        align=align,
        image=image,
        face=face,
        per_attribute=per_attribute,
    )
