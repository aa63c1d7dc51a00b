from __future__ import annotations

import torch
from torch import Tensor

from fairness_core.diffusion import decode
from fairness_core.faces import expand_square, region_mask
from fairness_core.training import Models
from fairness_core.training.cotangent import loss_gradient
from fairness_core.training.perceive import Perceived, perceive
from fairness_core.types import Faces, Targets
from tests.helpers.close import FLOAT32_SUM, assert_close
from tests.helpers.tiny_world import SPACE, TinyWorld, tiny_models, tiny_settings


def test_region_is_where_the_enlarged_boxes_meet(tiny_world: TinyWorld) -> None:
    """Method, §2: factor2 = 0 takes the semantics gradient away there, and only there.

    The VAE spreads a pixel's gradient over all latents, so the pixels are looked at themselves.
    """
    models = tiny_models(tiny_world)
    latents = torch.randn(1, *models.stack.latent_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        images = decode(models.stack, latents)
        originals = decode(models.stack, latents + 0.5)
    seen = perceive(images.clamp(-1, 1), models.detector, models.classifier)
    boxes = torch.tensor([[8.0, 8.0, 16.0, 16.0]]), torch.tensor([[12.0, 12.0, 20.0, 20.0]])
    tuned, original = (with_box(seen, box) for box in boxes)
    wanted = 1 - original.classes["gender"]
    targets = {
        name: Targets(
            expected=torch.nn.functional.one_hot(wanted, 2).float(),
            labels=wanted,
            confidence=torch.ones(1),
            # Nothing aligns but gender decides the factor: its target is the other class.
            active=torch.tensor([name == "gender"]),
        )
        for name in SPACE.names
    }
    gradients = []
    for factor2 in (0.0, 1.0):
        settings = tiny_settings(factor2={"gender": factor2, "age": factor2})
        gradient, _ = loss_gradient(
            models,
            settings,
            latents,
            tuned,
            originals,
            original,
            targets,
            free=SPACE.names,
            n_faces=1,
            n_images=1,
        )
        gradients.append(gradient)
    removed = gradients[1] - gradients[0]
    inside = region_mask(
        *(expand_square(box, 1.5) for box in boxes), torch.tensor([True]), (32, 32)
    )
    assert int(inside.sum()) == 8 * 8
    assert_close(removed, semantic_gradient(models, latents, originals, inside), FLOAT32_SUM)


def with_box(seen: Perceived, box: Tensor) -> Perceived:
    faces = Faces(box, torch.zeros(1, 5, 2), torch.ones(1), torch.tensor([True]))
    return Perceived(faces, seen.probabilities, seen.image)


def semantic_gradient(models: Models, latents: Tensor, originals: Tensor, inside: Tensor) -> Tensor:
    """The weighted semantics gradient that flows through the pixels inside alone."""
    z = latents.clone().requires_grad_()
    images = decode(models.stack, z)
    held = torch.where(inside, images, images.detach())
    loss = sum(
        1 - (encoder.image(held) * encoder.image(originals)).sum()
        for encoder in (models.image_text, models.image_self)
    )
    settings = tiny_settings()
    weighted = settings.lambda_image * settings.factor1["gender"] * loss
    (gradient,) = torch.autograd.grad(weighted, z)
    return gradient
