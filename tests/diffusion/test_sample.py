from __future__ import annotations

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from fairness_core.diffusion import Conditioning, DiffusionStack, sample
from fairness_core.errors import ConfigError, ModelError
from tests.diffusion.conftest import PROMPTS
from tests.helpers.tiny_diffusion import SD_NOISE, tiny_scheduler

Both = tuple[Conditioning, Conditioning]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize(
    "scheduler",
    [
        tiny_scheduler(),
        DDIMScheduler(**SD_NOISE, clip_sample=False),
        EulerDiscreteScheduler(**SD_NOISE),
        UniPCMultistepScheduler(**SD_NOISE),
    ],
    ids=lambda s: type(s).__name__,
)
def test_equals_the_stock_pipeline(
    stack: DiffusionStack,
    noise: Tensor,
    conditioning: Both,
    scheduler: object,
    guidance: float,
) -> None:
    stack.scheduler = scheduler
    pipeline = stack.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        PROMPTS,
        latents=noise.clone(),
        num_inference_steps=5,
        guidance_scale=guidance,
        output_type="latent",
    ).images
    found = sample(stack, noise, *conditioning, guidance=guidance, steps=5)
    assert torch.equal(found.final, expected)


def test_the_trajectory_reproduces_every_network_call(
    stack: DiffusionStack, noise: Tensor, conditioning: Both
) -> None:
    stack.scheduler = EulerDiscreteScheduler(**SD_NOISE)
    seen: list[tuple[Tensor, Tensor]] = []
    handle = stack.unet.register_forward_pre_hook(lambda _, args: seen.append(args))
    trajectory = sample(stack, noise, *conditioning, guidance=1.0, steps=4)
    handle.remove()
    assert len(trajectory) == len(seen) == 4
    for (latents, time), t, inputs in zip(
        seen, trajectory.timesteps, trajectory.inputs, strict=True
    ):
        assert torch.equal(latents, inputs)
        assert torch.equal(time, t)
    assert not trajectory.final.requires_grad


@pytest.mark.parametrize(("guidance", "calls_per_step"), [(1.0, 1), (7.5, 2)])
def test_counts_one_call_a_step_and_two_under_guidance(
    stack: DiffusionStack,
    noise: Tensor,
    conditioning: Both,
    guidance: float,
    calls_per_step: int,
) -> None:
    sample(stack, noise, *conditioning, guidance=guidance, steps=4, batch_size=2)
    assert stack.calls.forwards == calls_per_step * 4 * len(noise)
    assert stack.calls.backwards == 0


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_does_not_depend_on_the_batch_size(
    stack: DiffusionStack, noise: Tensor, conditioning: Both, batch_size: int
) -> None:
    whole = sample(stack, noise, *conditioning, guidance=3.0, steps=4)
    parts = sample(stack, noise, *conditioning, guidance=3.0, steps=4, batch_size=batch_size)
    # Sums of a convolution may be ordered otherwise for another batch: float32 rounding.
    torch.testing.assert_close(parts.final, whole.final, rtol=1e-4, atol=1e-4)


def test_a_flow_matching_scheduler_runs(
    stack: DiffusionStack, noise: Tensor, conditioning: Both
) -> None:
    stack.scheduler = FlowMatchEulerDiscreteScheduler()
    trajectory = sample(stack, noise, *conditioning, guidance=1.0, steps=4)
    assert torch.equal(trajectory.inputs[0], noise)
    assert bool(torch.isfinite(trajectory.final).all())


@pytest.mark.parametrize(
    "scheduler",
    [
        EulerAncestralDiscreteScheduler(**SD_NOISE),
        DPMSolverMultistepScheduler(**SD_NOISE, algorithm_type="sde-dpmsolver++"),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_sampler_that_adds_noise_needs_a_generator(
    stack: DiffusionStack, noise: Tensor, conditioning: Both, scheduler: object
) -> None:
    stack.scheduler = scheduler
    state = torch.get_rng_state()
    with pytest.raises(ModelError, match="adds noise while it samples"):
        sample(stack, noise, *conditioning, guidance=1.0, steps=3)
    first, again, other = (
        sample(
            stack,
            noise,
            *conditioning,
            guidance=1.0,
            steps=3,
            generator=torch.Generator().manual_seed(seed),
        ).final
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("guidance", [0.5, float("nan")])
def test_guidance_below_one_is_refused(
    stack: DiffusionStack, noise: Tensor, conditioning: Both, guidance: float
) -> None:
    with pytest.raises(ConfigError, match="Guidance is less than 1"):
        sample(stack, noise, *conditioning, guidance=guidance, steps=3)


def test_an_empty_batch_is_refused(
    stack: DiffusionStack, noise: Tensor, conditioning: Both
) -> None:
    with pytest.raises(ConfigError, match="at least one image"):
        sample(stack, noise, *conditioning, guidance=1.0, steps=3, batch_size=0)
