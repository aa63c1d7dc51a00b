"""Latents to images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["decode"]


def decode(
    stack: DiffusionStack, latents: Float[Tensor, "n c h w"], *, checkpoint: bool = False
) -> Float[Tensor, "n 3 y x"]:
    """Compute the VAE's images of ``latents / scaling_factor + shift_factor``, differentiably.

    A VAE that has a mean and deviation of each channel instead of one shift for all gets
    ``latents * latents_std / scaling_factor + latents_mean``.

    Args:
        stack: The model.
        latents: In the scaled units in which the network works.
        checkpoint: Recompute the decoder in the backward pass instead of keeping what it computed.

    Returns:
        Images, about [-1, 1], not clamped so that gradients are not cut; in the latents' type.
    """
    config = stack.vae.config
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is not None and deviation is not None:
        mean, deviation = (latents.new_tensor(v).view(1, -1, 1, 1) for v in (mean, deviation))
        scaled = latents * deviation / config.scaling_factor + mean
    else:
        scaled = latents / config.scaling_factor
        shift = config.get("shift_factor")
        if shift is not None:
            scaled = scaled + shift
    scaled = scaled.to(next(stack.vae.parameters()).dtype, memory_format=torch.channels_last)
    images: Tensor
    if checkpoint:
        images = recompute(_decoder, stack, scaled, use_reentrant=False)
    else:
        images = _decoder(stack, scaled)
    return images.to(latents.dtype)


def _decoder(stack: DiffusionStack, latents: Tensor) -> Tensor:
    images: Tensor = stack.vae.decode(latents, return_dict=False)[0]
    return images
