"""What a sampler makes of each network output, measured and in closed form."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
)

from fairness_core.diffusion import (
    Conditioning,
    DiffusionStack,
    sampler_coefficients,
    step_weights,
)
from fairness_core.errors import ConfigError, ModelError
from tests.diffusion.plain import SCHEDULERS, every_scheduler, measured_coefficients, plain_run
from tests.helpers.tiny_diffusion import SD_NOISE


@pytest.mark.parametrize("steps", [5, 21, 50])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_scheduler
def test_exact_gives_every_step_the_same_effective_weight(
    name: str, steps: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(2)
    shape, scheduler = (2, 4, 2, 2), SCHEDULERS[name]

    def network(*_: Any, **__: Any) -> Any:
        """Put out noise for which the sampler's result is differentiated."""
        noise = torch.randn(shape, generator=generator, dtype=dtype)
        return SimpleNamespace(sample=noise.requires_grad_(True))

    stack: Any = SimpleNamespace(unet=network, scheduler=scheduler)
    noise = torch.randn(shape, generator=generator, dtype=dtype)
    nothing = Conditioning(noise.flatten(2))
    run = plain_run(stack, noise, nothing, nothing, guidance=1.0, steps=steps)
    measured = measured_coefficients(run).double()
    applied = step_weights(scheduler, steps, "exact") / step_weights(scheduler, steps, "unadjusted")
    effective = measured * applied[:, None]
    assert measured[:, 0].max() / measured[:, 0].abs().min() > 2
    # A run in float32 rounds by itself (1.7e-6 in 50 steps of DDIM, below 1e-6 in 21).
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6
    torch.testing.assert_close(effective, torch.ones_like(effective), rtol=0, atol=tolerance)


def test_ddim_coefficients_are_the_closed_form() -> None:
    scheduler = DDIMScheduler(**SD_NOISE, clip_sample=False, set_alpha_to_one=True)
    scheduler.set_timesteps(20)
    kept = scheduler.alphas_cumprod[scheduler.timesteps].double()
    ratio = ((1 - kept) / kept).sqrt()
    # After the last step a_0 = 1 and s_0 = 0.
    expected = ratio - torch.cat([ratio[1:], torch.zeros(1, dtype=torch.float64)])
    torch.testing.assert_close(sampler_coefficients(scheduler, 20), expected, rtol=1e-6, atol=0)


def test_reference_weights_are_the_ones_the_authors_code_applies() -> None:
    # Figures of the design's method, section 3: SD 1.5, DPM-Solver++ 2M, 21 steps.
    scheduler = DPMSolverMultistepScheduler(**SD_NOISE)
    weights = -step_weights(scheduler, 21, "reference")
    assert float(weights[0]) == pytest.approx(0.21, abs=0.005)
    assert float(weights[1:17].min()) == pytest.approx(0.36, abs=0.005)
    assert float(weights[1:17].max()) == pytest.approx(0.39, abs=0.005)
    assert weights[-4:].tolist() == pytest.approx([0.33, 0.40, 0.69, 0.69], abs=0.006)


def test_reference_weights_of_the_older_sampler() -> None:
    # diffusers 0.19.3 ended at the smallest noise level rather than at none.
    scheduler = DPMSolverMultistepScheduler(**SD_NOISE, final_sigmas_type="sigma_min")
    weights = -step_weights(scheduler, 21, "reference")
    assert weights[-4:].tolist() == pytest.approx([0.22, -0.10, -0.36, 2.06], abs=0.005)


def test_reference_is_the_sampler_over_the_ddpm_coefficient() -> None:
    scheduler = EulerDiscreteScheduler(**SD_NOISE)
    scheduler.set_timesteps(7)
    kept = torch.cumprod(1 - scheduler.betas.double(), 0)
    terms = []
    for time in scheduler.timesteps.tolist():
        index = round(time)
        beta = float(scheduler.betas[index])
        terms.append(beta / math.sqrt(float(kept[index]) * (1 - float(kept[index]))))
    mean = math.exp(sum(math.log(term) for term in terms) / len(terms))
    expected = sampler_coefficients(scheduler, 7) * mean / torch.tensor(terms).double()
    weights = step_weights(scheduler, 7, "reference")
    torch.testing.assert_close(-weights, expected, rtol=1e-4, atol=0)


def test_flow_matching_coefficients_are_the_time_steps() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(6)
    expected = (scheduler.sigmas[:-1] - scheduler.sigmas[1:]).double()
    found = sampler_coefficients(scheduler, 6)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert step_weights(scheduler, 6, "exact").tolist() == [-1.0] * 6


def test_a_network_that_predicts_the_image_pulls_the_other_way() -> None:
    scheduler = DPMSolverMultistepScheduler(**SD_NOISE, prediction_type="sample")
    assert bool((sampler_coefficients(scheduler, 5)[-1:] < 0).all())
    weights = step_weights(scheduler, 5, "exact")
    assert weights.unique().tolist() in ([1.0], [0.0, 1.0])
    assert weights[-1] == 1


def test_noise_that_a_sampler_adds_does_not_matter() -> None:
    scheduler = EulerAncestralDiscreteScheduler(**SD_NOISE)
    state = torch.get_rng_state()
    first, second = (sampler_coefficients(scheduler, 6) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [
        # The last step goes from the smallest noise level to itself.
        (DDIMScheduler(**{**SD_NOISE, "steps_offset": 0}, clip_sample=False,
                       set_alpha_to_one=False), 5),
        (PNDMScheduler(**{**SD_NOISE, "steps_offset": 0}, skip_prk_steps=True), 5),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning")
def test_a_step_without_influence_gets_no_weight(scheduler: Any, steps: int) -> None:
    assert abs(float(sampler_coefficients(scheduler, steps)[-1])) < 1e-6
    weights = step_weights(scheduler, steps, "exact")
    assert weights[-1] == 0
    assert bool((weights[:-1] == -1).all())
    for mode in ("reference", "unadjusted"):
        assert bool(torch.isfinite(step_weights(scheduler, steps, mode)).all())


def test_a_schedule_without_signal_is_refused() -> None:
    scheduler = DDIMScheduler(
        **SD_NOISE, clip_sample=False, rescale_betas_zero_snr=True, timestep_spacing="trailing"
    )
    with pytest.raises(ModelError, match="derivative that is not finite.*DDIMScheduler"):
        step_weights(scheduler, 5, "exact")


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler(**SD_NOISE, clip_sample=True),
        DPMSolverMultistepScheduler(**SD_NOISE, thresholding=True),
    ],
    ids=lambda s: type(s).__name__,
)
def test_a_sampler_that_clips_is_refused(scheduler: Any) -> None:
    with pytest.raises(ModelError, match="not linear in the network's output"):
        sampler_coefficients(scheduler, 5)


def test_reference_needs_a_ddpm_schedule() -> None:
    with pytest.raises(ModelError, match="need a DDPM noise schedule"):
        step_weights(FlowMatchEulerDiscreteScheduler(), 5, "reference")


def test_unknown_weights_are_refused(stack: DiffusionStack) -> None:
    with pytest.raises(ConfigError, match="Unknown gradient weights.*exact, reference"):
        step_weights(stack, 5, "excat")


def test_coefficients_leave_the_scheduler_alone(stack: DiffusionStack) -> None:
    before = dict(vars(stack.scheduler))
    sampler_coefficients(stack, 5)
    assert all(vars(stack.scheduler)[name] is value for name, value in before.items())
