"""The loss of a batch and its gradient at the sampled latents."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.alignment import take_rows
from fairness_core.classifiers import AttributeClassifier
from fairness_core.diffusion import decode
from fairness_core.errors import ConfigError
from fairness_core.faces import crop_faces, expand_square, region_mask
from fairness_core.losses import (
    alignment_terms,
    dynamic_weights,
    image_weights,
    region_factors,
    region_scale,
    scale_gradient,
    semantic_loss,
    total,
)
from fairness_core.training.parts import Models, Settings
from fairness_core.training.perceive import ENLARGE, Perceived
from fairness_core.training.realism import Realism, realism_terms
from fairness_core.types import Targets

__all__ = ["loss_gradient"]


def loss_gradient(
    models: Models,
    settings: Settings,
    latents: Float[Tensor, "n c h w"],
    seen: Perceived,
    originals: Float[Tensor, "n 3 y x"],
    originally: Perceived,
    targets: Mapping[str, Targets],
    *,
    free: Collection[str],
    n_faces: int,
    n_images: int,
) -> tuple[Float[Tensor, "n c h w"], dict[str, float]]:
    """Compute v = dL/dz_0 of these images, chunk by chunk, and the loss parts they add.

    ``targets`` and ``originally`` have the rows of ``seen``: one for each face, or for each image.
    Those that are not ``free`` are held at the original's class and loosen nothing.
    """
    changing = {name: targets[name] for name in free}
    cotangent, sums = torch.empty_like(latents), dict[str, float]()
    both = originally.faces.present & seen.faces.present
    was, unsure = originally.classes, settings.unsure
    face_weights = dynamic_weights(changing, was, both, settings.factor1, unsure=unsure)
    weights = image_weights(face_weights, seen.image, len(latents))
    factors = region_factors(changing, was, both, settings.factor2, unsure=unsure)
    for start in range(0, len(latents), settings.judged):
        rows = slice(start, min(start + settings.judged, len(latents)))
        of = seen.rows_of(rows)
        chunk = Chunk(
            seen.take(of).counted_from(start),
            originals[rows],
            originally.take(of).counted_from(start),
            {a: take_rows(t, of) for a, t in targets.items()},
        )
        z = latents[rows].detach().requires_grad_()
        images = decode(models.stack, z)
        held = scale_gradient(images, _region(chunk, factors[of]))
        with torch.no_grad():
            was_text = models.image_text.image(chunk.originals)
            was_self = models.image_self.image(chunk.originals)
        parts = total(
            _alignment(models.classifier, images, chunk),
            semantic_loss(
                models.image_text.image(held), was_text, models.image_self.image(held), was_self
            ),
            weights[rows],
            _realism(models.realism, settings, images, chunk),
            lambda_image=settings.lambda_image,
            lambda_face=settings.lambda_face,
            n_faces=n_faces,
            n_images=n_images,
        )
        (cotangent[rows],) = torch.autograd.grad(parts.total, z)
        measured = {"total": parts.total, "align": parts.align, "image": parts.image}
        measured |= {"face": parts.face} if settings.lambda_face > 0 else {}
        measured |= {f"align_{a}": parts.per_attribute[a] for a in settings.space.names}
        for name, value in measured.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return cotangent, sums


@dataclass(frozen=True)
class Chunk:
    """The images of one network call, their faces, originals and targets."""

    seen: Perceived
    originals: Float[Tensor, "n 3 y x"]
    originally: Perceived
    targets: Mapping[str, Targets]


def _alignment(
    classifier: AttributeClassifier, images: Float[Tensor, "n 3 y x"], chunk: Chunk
) -> dict[str, Float[Tensor, " m"]]:
    """Terms of each face and attribute."""
    seen = chunk.seen
    if not len(seen.image):
        return {a: images.new_zeros(0) for a in chunk.targets}
    crops = crop_faces(
        images[seen.image],
        seen.faces.boxes,
        seen.faces.present,
        size=classifier.input_size,
        enlarge=ENLARGE,
    )
    logits = classifier.logits(crops)
    return {a: alignment_terms(logits[a], t) for a, t in chunk.targets.items()}


def _region(chunk: Chunk, factors: Float[Tensor, " m"]) -> Float[Tensor, "n 1 y x"]:
    """Factor of the semantics gradient: where both enlarged boxes of a face meet, its factor."""
    here, before = chunk.seen.faces, chunk.originally.faces
    boxes = [expand_square(faces.boxes, ENLARGE) for faces in (here, before)]
    size = (chunk.originals.shape[-2], chunk.originals.shape[-1])
    mask = region_mask(boxes[0], boxes[1], here.present & before.present, size)
    return region_scale(mask, factors, chunk.seen.image, len(chunk.originals))


def _realism(
    realism: Realism | None, settings: Settings, images: Float[Tensor, "n 3 y x"], chunk: Chunk
) -> Float[Tensor, " m"] | None:
    """Terms of each face; None where the realism loss has no weight.

    Its bank is labelled for the aligned attributes alone: one that is only held asks nothing of it.
    """
    if settings.lambda_face == 0:
        return None
    if realism is None:
        raise ConfigError(
            "The face realism loss has a weight but neither embedder nor bank",
            given=settings.lambda_face,
            do="load both, or set lambda_face to 0",
        )
    return realism_terms(
        realism,
        images,
        chunk.seen,
        chunk.originals,
        chunk.originally,
        {name: chunk.targets[name] for name in settings.space.names},
        own_face_confidence=settings.own_face_confidence,
    )
