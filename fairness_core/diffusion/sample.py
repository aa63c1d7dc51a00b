"""Sample latents from noise and keep what every network call saw."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.stack import DiffusionStack
from fairness_core.errors import ConfigError, ModelError
from fairness_core.types import Trajectory

__all__ = ["sample"]


@torch.no_grad()
def sample(
    stack: DiffusionStack,
    noise: Float[Tensor, "n c h w"],
    embedding: Conditioning,
    empty: Conditioning,
    *,
    guidance: float,
    steps: int,
    generator: torch.Generator | None = None,
    batch_size: int | None = None,
) -> Trajectory:
    """Run the model's sampler with guidance, without a graph.

    At each step the network's output is ``e = e_empty + g (e_text - e_empty)`` (Ho & Salimans
    2022, in Stable Diffusion's convention); g = 1 needs, and makes, no call for the empty prompt.
    Networks that take g as an input (FLUX) are fed it and never see the empty prompt.

    Args:
        stack: The model.
        noise: Unit normal; scaled by the scheduler's ``init_noise_sigma`` here.
        embedding: Conditioning of each image.
        empty: Conditioning of the empty prompt: one row.
        guidance: g, at least 1.
        steps: Sampling steps, at least 1.
        generator: Source of the noise that a stochastic sampler adds.
        batch_size: Images per network call (each is two rows under guidance); all when None.
            The result does not depend on it beyond rounding.

    Returns:
        Timesteps, network inputs and final latents, in the noise's type.

    Raises:
        ConfigError: ``steps``, ``guidance`` or ``batch_size`` out of range.
        ModelError: The sampler adds noise and there is no generator.
    """
    timesteps, inputs, latents = [], [], noise
    for timestep, scaled, latents in walk(  # noqa: B007 - the last are the result
        stack,
        noise,
        embedding,
        empty,
        guidance=guidance,
        steps=steps,
        generator=generator,
        batch_size=batch_size,
    ):
        timesteps.append(timestep)
        inputs.append(scaled)
    return Trajectory(timesteps=tuple(timesteps), inputs=tuple(inputs), final=latents)


def walk(
    stack: DiffusionStack,
    noise: Float[Tensor, "n c h w"],
    embedding: Conditioning,
    empty: Conditioning,
    *,
    guidance: float,
    steps: int,
    generator: torch.Generator | None = None,
    batch_size: int | None = None,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Take the sampler's steps one by one: arguments and errors as of ``sample``.

    Whether they leave a graph is the caller's choice.

    Yields:
        The step's timestep, its network inputs and the latents it leads to.
    """
    check_guidance(guidance)
    scheduler = stack.new_scheduler(steps)
    stepper = Stepper(scheduler, generator)
    latents = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for timestep in scheduler.timesteps:
        scaled = stepper.scale(latents, timestep)
        output = torch.cat(
            [
                guided(stack, scaled[rows], timestep, embedding[rows], empty, guidance)
                for rows in batches(len(noise), batch_size)
            ]
        )
        latents = stepper.step(output, timestep, latents)
        yield timestep, scaled, latents


def guided(
    stack: DiffusionStack,
    latents: Float[Tensor, "n c h w"],
    timestep: Num[Tensor, ""],
    embedding: Conditioning,
    empty: Conditioning,
    guidance: float,
) -> Float[Tensor, "n c h w"]:
    """Compute ``e_empty + g (e_text - e_empty)`` in one network call.

    Or ``e_text`` alone, at g = 1 and for networks that take g as an input.
    """
    if guidance == 1.0 or not stack.family.guided:
        return stack.predict(latents, timestep, embedding, guidance)
    both = Conditioning.cat([empty.expand(len(latents)), embedding])
    without, with_text = stack.predict(torch.cat([latents, latents]), timestep, both).chunk(2)
    return without + guidance * (with_text - without)


def check_guidance(guidance: float) -> None:
    """Check that g is at least 1.

    Raises:
        ConfigError: It is less.
    """
    if not guidance >= 1.0:
        raise ConfigError("Guidance is less than 1", given=guidance, do="use 1 for no guidance")


def batches(n: int, batch_size: int | None) -> list[slice]:
    """Split n rows into slices of at most ``batch_size``.

    Raises:
        ConfigError: ``batch_size`` is less than 1.
    """
    size = n if batch_size is None else batch_size
    if size < 1:
        raise ConfigError("A batch needs at least one image", given=size)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


class Stepper:
    """One run of a scheduler, never drawing from the global random generator.

    Some schedulers add noise, and from the global generator unless they are given one. A private
    generator is passed in when the caller has none, and its having been used is an error.
    """

    def __init__(self, scheduler: Any, generator: torch.Generator | None) -> None:
        """Take a scheduler with its timesteps set, and the source of its noise if it adds any."""
        self.scheduler = scheduler
        self.given = generator is not None
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator
        takes_one = "generator" in inspect.signature(scheduler.step).parameters
        self.options = {"generator": self.generator} if takes_one else {}

    def scale(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """Compute the network's input; flow-matching schedulers have no scaling of their own."""
        scaling = getattr(self.scheduler, "scale_model_input", None)
        scaled: Tensor = latents if scaling is None else scaling(latents, timestep)
        return scaled

    def step(self, output: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """Compute the latents of the next time.

        Raises:
            ModelError: The scheduler draws noise and no generator was given.
        """
        before = None if self.given else self.generator.get_state()
        result = self.scheduler.step(output, timestep, latents, return_dict=False, **self.options)
        if before is not None and not torch.equal(before, self.generator.get_state()):
            raise ModelError(
                "The model's sampler adds noise while it samples and got no generator",
                given=type(self.scheduler).__name__,
                do="pass a generator",
            )
        stepped: Tensor = result[0]
        return stepped
