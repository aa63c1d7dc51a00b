"""One training step on the tiny world, and how its gradients are compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fairness_core.diffusion import (
    trainable,
)
from fairness_core.runtime.distributed import World
from fairness_core.training import (
    Models,
    Settings,
    StepResult,
    original_images,
    training_step,
)
from tests.helpers.close import Tolerance
from tests.helpers.tiny_world import (
    BrightSpot,
    TinyWorld,
    tiny_models,
)

PROMPT = "a photo of a nurse"
STEPS = 4
PARTS: dict[str, dict[str, Any]] = {
    "text encoder": {"text_encoder": True, "unet": False},
    "U-Net": {"text_encoder": False, "unet": True},
    "both": {"text_encoder": True, "unet": True},
    "soft tokens": {"soft_tokens": 3},
}


def make_noise(models: Models, n: int) -> Tensor:
    source = torch.Generator().manual_seed(5)
    noise = torch.randn(n, *models.stack.latent_shape, generator=source)
    return noise.to(models.stack.dtype)


def run_step(
    models: Models, settings: Settings, world: World, noise: Tensor, **options: Any
) -> tuple[StepResult, dict[str, Tensor]]:
    """The step's result and the gradient that it leaves on the adapters."""
    arguments = {
        "prompt": PROMPT,
        "noise": noise,
        "steps": STEPS,
        "targets_from": torch.Generator().manual_seed(0),
        "steps_from": torch.Generator().manual_seed(1),
    }
    result = training_step(models, settings, world, **(arguments | options))
    gradient = {name: p.grad for name, p in trainable(models.stack).items() if p.grad is not None}
    assert gradient.keys() == trainable(models.stack).keys()
    return result, gradient


def assert_same_gradient(
    actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: Tolerance
) -> None:
    """Every tensor differs by at most ``relative`` of its norm, and none is zero throughout."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        size = float(value.norm())
        assert size > 0, name
        distance = float((actual[name] - value).norm()) / size
        assert distance <= tolerance.relative, f"{name}: {distance}, {tolerance.reason}"


def flat(gradient: dict[str, Tensor]) -> dict[str, Tensor]:
    """The whole gradient as one vector."""
    return {"all": torch.cat([gradient[name].flatten() for name in sorted(gradient)])}


def half_dark(world: TinyWorld, n: int, **parts: Any) -> BrightSpot:
    """A detector that finds no face in some of the tuned images and in others of the originals."""
    models = tiny_models(world, **parts)
    images = original_images(models, PROMPT, make_noise(models, n), steps=STEPS, guidance=3.0)
    brightness = images.clamp(-1, 1).mean(dim=(1, 2, 3)).sort().values
    return BrightSpot(darkest=float(brightness[:2].mean()))
