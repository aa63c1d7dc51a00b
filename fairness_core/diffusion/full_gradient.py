"""Gradient through the whole sampler: what adjusted direct finetuning leaves out, kept.

Each latent depends on the parameters through the network's inputs too (B_t of the paper, section
4.1). With many steps that factor grows until it drowns the rest, which is why the method replaces
it by one; this is the other side of that comparison, not a way to train.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.sample import batches, walk
from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["accumulate_full_gradient"]


def accumulate_full_gradient(
    stack: DiffusionStack,
    noise: Float[Tensor, "n c h w"],
    cotangent: Float[Tensor, "n c h w"],
    *,
    embedding: Conditioning,
    empty: Conditioning,
    guidance: float,
    steps: int,
    batch_size: int | None = None,
) -> None:
    """Add ``v^T dz_0/dtheta`` to the gradients: sampling once more, with a graph over all steps.

    The gradient lands where ``accumulate_gradient`` puts its own. Memory grows with the steps and
    with ``batch_size``.

    Args:
        stack: The model.
        noise: Unit normal, as for ``sample``.
        cotangent: v = dL/dz_0 of the latents that this noise led to.
        embedding: Conditioning of each image: leaves, whether or not they require a gradient.
        empty: Conditioning of the empty prompt: one row, likewise.
        guidance: g, at least 1.
        steps: Sampling steps.
        batch_size: Images per graph; all when None.

    Raises:
        ConfigError: ``guidance`` or ``batch_size`` out of range.
        ModelError: The model's sampler adds noise.
    """
    for rows in batches(len(noise), batch_size):
        latents = noise[rows]
        with torch.enable_grad():
            for _, _, latents in walk(  # noqa: B007 - the last are the result
                stack, noise[rows], embedding[rows], empty, guidance=guidance, steps=steps
            ):
                pass
        latents.backward(cotangent[rows])
