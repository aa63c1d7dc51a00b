from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairness_core.diffusion import DiffusionStack, decode


def test_equals_the_vaes_decoding_of_unscaled_latents(stack: DiffusionStack, noise: Tensor) -> None:
    images = decode(stack, noise)
    assert images.shape == (3, 3, 32, 32)
    assert torch.equal(images, stack.vae.decode(noise / 0.6).sample)


def test_adds_the_shift_of_models_that_have_one(stack: DiffusionStack, noise: Tensor) -> None:
    expected = stack.vae.decode(noise / 0.6 + 0.25).sample
    stack.vae.register_to_config(shift_factor=0.25)
    assert torch.equal(decode(stack, noise), expected)


def test_is_not_clamped(stack: DiffusionStack, noise: Tensor) -> None:
    stack.vae.decoder.conv_out.weight.mul_(50)
    assert decode(stack, noise).abs().max() > 1


def test_a_checkpoint_gives_the_same_image_and_gradient(
    stack: DiffusionStack, noise: Tensor
) -> None:
    found = []
    for checkpoint in (False, True):
        latents = noise.clone().requires_grad_(True)
        images = decode(stack, latents, checkpoint=checkpoint)
        images.square().mean().backward()
        found.append((images.detach(), latents.grad))
    assert found[0][1].abs().max() > 0
    assert torch.equal(found[0][0], found[1][0])
    torch.testing.assert_close(found[0][1], found[1][1])


@pytest.mark.parametrize("checkpoint", [False, True])
def test_gradient_is_the_images_derivative(
    stack: DiffusionStack, noise: Tensor, checkpoint: bool
) -> None:
    stack.vae.double()
    latents = noise[:1].double().requires_grad_(True)
    direction = torch.ones_like(latents)
    decode(stack, latents, checkpoint=checkpoint).sum().backward()
    step = 1e-5
    with torch.no_grad():
        difference = decode(stack, latents + step * direction) - decode(
            stack, latents - step * direction
        )
    expected = difference.sum() / (2 * step)
    torch.testing.assert_close((latents.grad * direction).sum(), expected, rtol=1e-6, atol=1e-6)
