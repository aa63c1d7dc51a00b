"""Other samplers for the same model."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

from fairness_core.config.choices import Sampler
from fairness_core.diffusion import SAMPLERS, scheduler_facts, scheduler_of
from fairness_core.diffusion.sample import Stepper
from fairness_core.errors import ConfigError


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_solves_the_same_process_without_noise_of_its_own(name):
    own = DPMSolverMultistepScheduler(
        num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    )
    scheduler = scheduler_of(name, own)
    assert scheduler.config.beta_end == 0.012
    scheduler.set_timesteps(200)
    # The exact noise of a world with a single image, of latents 3: every sampler ends there.
    alphas = own.alphas_cumprod
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64) * float(scheduler.init_noise_sigma)
    stepper = Stepper(scheduler, None)
    for t in scheduler.timesteps:
        scaled = stepper.scale(x, t)
        low = int(t)
        a = alphas[low] + (float(t) - low) * (alphas[min(low + 1, 999)] - alphas[low])
        x = stepper.step((scaled - a.sqrt() * 3.0) / (1 - a).sqrt(), t, x)
    assert float(x) == pytest.approx(3.0, abs=0.1)


def test_what_is_no_sampler():
    with pytest.raises(ConfigError, match="no such sampler.*Given: magic"):
        scheduler_of("magic", DPMSolverMultistepScheduler())
    fits = "set models.sampler to null .* own FlowMatchEulerDiscreteScheduler fits"
    with pytest.raises(ConfigError, match=f"flow-matching model.*{fits}"):
        scheduler_of("ddim", FlowMatchEulerDiscreteScheduler())


def test_the_parameters_name_the_samplers_that_there_are():
    assert get_args(Sampler) == tuple(SAMPLERS)


def test_two_m_is_of_second_order_whatever_the_models_own():
    assert scheduler_of("dpm++2m", DPMSolverMultistepScheduler(solver_order=3)).config[
        "solver_order"
    ] == 2  # fmt: skip


def test_samplers_are_told_apart_by_their_whole_configuration():
    told = [
        scheduler_facts(DPMSolverMultistepScheduler(timestep_spacing=spacing))
        for spacing in ("linspace", "trailing", "linspace")
    ]
    assert told[0] == told[2]
    assert told[0]["scheduler"] == told[1]["scheduler"] == "DPMSolverMultistepScheduler"
    assert told[0]["scheduler_sha256"] != told[1]["scheduler_sha256"]
