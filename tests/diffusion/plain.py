"""The adjusted gradient the slow way: one autograd graph through the whole sampler.

Nothing here comes from the code under test: the loop, the guidance and the network call are
written out, and the coefficients are measured on the tensors of a real run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from fairness_core.diffusion import Conditioning, DiffusionStack
from tests.helpers.tiny_diffusion import SD_NOISE

SCHEDULERS: dict[str, Any] = {
    "ddim": DDIMScheduler(**SD_NOISE, clip_sample=False, set_alpha_to_one=False),
    "dpm1": DPMSolverMultistepScheduler(**SD_NOISE, solver_order=1),
    "dpm2": DPMSolverMultistepScheduler(**SD_NOISE, solver_order=2),
    "dpm3": DPMSolverMultistepScheduler(**SD_NOISE, solver_order=3),
    "euler": EulerDiscreteScheduler(**SD_NOISE),
    "unipc": UniPCMultistepScheduler(**SD_NOISE),
}
every_scheduler = pytest.mark.parametrize("name", list(SCHEDULERS))


@dataclass
class PlainRun:
    """A sampling run with its graph."""

    final: Tensor
    outputs: list[Tensor]


def plain_run(
    stack: DiffusionStack,
    noise: Tensor,
    embedding: Conditioning,
    empty: Conditioning,
    *,
    guidance: float,
    steps: int,
    factors: Sequence[float] | None = None,
    coupled: bool = False,
) -> PlainRun:
    """Sample with a graph of a model whose U-Net is told the states alone.

    Its inputs are detached, unless the steps are to stay ``coupled``.

    ``factors`` multiply the gradient that reaches each step's output, by hooks that read them
    in the backward pass.
    """
    scheduler = type(stack.scheduler).from_config(stack.scheduler.config)
    scheduler.set_timesteps(steps)
    latents = noise * scheduler.init_noise_sigma
    outputs: list[Tensor] = []
    for step, timestep in enumerate(scheduler.timesteps):
        inputs = scheduler.scale_model_input(latents, timestep)
        inputs = inputs if coupled else inputs.detach()
        output = stack.unet(inputs, timestep, encoder_hidden_states=embedding.states).sample
        if guidance != 1.0:
            rows = empty.states.expand(len(inputs), -1, -1)
            without = stack.unet(inputs, timestep, encoder_hidden_states=rows).sample
            output = (1 - guidance) * without + guidance * output
        if factors is not None:
            output.register_hook(lambda grad, step=step: grad * factors[step])
        outputs.append(output)
        latents = scheduler.step(output, timestep, latents).prev_sample
    return PlainRun(final=latents, outputs=outputs)


def measured_coefficients(run: PlainRun) -> Tensor:
    """Measure A_t, each the same for all elements of the latents, as ``-dz_0/d output``.

    Every element of z_0 depends on the same element of an output only, so the derivative of the
    sum holds all of them.
    """
    found = torch.autograd.grad(run.final.sum(), run.outputs, retain_graph=True)
    return -torch.stack([grad.flatten() for grad in found])
