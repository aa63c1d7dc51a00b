"""The loss of a batch and its gradient at the sampled latents."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.alignment import take_rows
from fairness_core.diffusion import decode
from fairness_core.faces import crop_faces, expand_square, region_mask
from fairness_core.losses import (
    alignment_terms,
    dynamic_weights,
    region_factors,
    scale_gradient,
    semantic_loss,
    total,
)
from fairness_core.training.parts import Models, Settings
from fairness_core.training.perceive import ENLARGE, Perceived
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
    n_faces: int,
    n_images: int,
) -> tuple[Float[Tensor, "n c h w"], dict[str, float]]:
    """Compute v = dL/dz_0 of these rows, chunk by chunk, and the loss parts they add."""
    cotangent, sums = torch.empty_like(latents), dict[str, float]()
    weights = dynamic_weights(
        targets, originally.classes, originally.faces.present, settings.factor1
    )
    factors = region_factors(
        targets, originally.classes, originally.faces.present, settings.factor2
    )
    size = (originals.shape[-2], originals.shape[-1])
    both = seen.faces.present & originally.faces.present
    boxes = [expand_square(which.faces.boxes, ENLARGE) for which in (seen, originally)]
    region = region_mask(boxes[0], boxes[1], both, size)
    for start in range(0, len(latents), settings.batch_size):
        rows = slice(start, start + settings.batch_size)
        z = latents[rows].detach().requires_grad_()
        images = decode(models.stack, z)
        crops = crop_faces(
            images,
            seen.faces.boxes[rows],
            seen.faces.present[rows],
            size=models.classifier.input_size,
            enlarge=ENLARGE,
        )
        logits = models.classifier.logits(crops)
        held = scale_gradient(images, region[rows], factors[rows])
        with torch.no_grad():
            was_text = models.image_text.image(originals[rows])
            was_self = models.image_self.image(originals[rows])
        parts = total(
            {a: alignment_terms(logits[a], take_rows(t, rows)) for a, t in targets.items()},
            semantic_loss(
                models.image_text.image(held), was_text, models.image_self.image(held), was_self
            ),
            weights[rows],
            lambda_image=settings.lambda_image,
            n_faces=n_faces,
            n_images=n_images,
        )
        (cotangent[rows],) = torch.autograd.grad(parts.total, z)
        measured = {"total": parts.total, "align": parts.align, "image": parts.image}
        measured |= {f"align_{a}": value for a, value in parts.per_attribute.items()}
        for name, value in measured.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return cotangent, sums
