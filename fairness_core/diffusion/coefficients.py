"""What each network call of a sampler contributes to its result, and the weight it is given.

With the network's inputs held fixed, a sampler is linear in the network's outputs,
``z_0 = const - sum_t A_t e_t``. The A_t belong to the sampler and are got from it.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from fairness_core.diffusion.sample import Stepper
from fairness_core.diffusion.scheduler import fresh_scheduler
from fairness_core.diffusion.stack import DiffusionStack
from fairness_core.errors import ConfigError, ModelError

__all__ = ["WeightMode", "sampler_coefficients", "step_weights"]

WeightMode = Literal["exact", "reference", "unadjusted"]

# Where a linear sampler's derivatives are compared: far beyond any clipping of predicted latents.
FAR = 1e3
# Derivatives pass through float32 in several schedulers, hence not tighter.
LINEAR_TOLERANCE = 1e-4
# Below this share of the largest coefficient a step does not enter z_0 at all.
NO_INFLUENCE = 1e-6


def sampler_coefficients(model: DiffusionStack | Any, steps: int) -> Float64[Tensor, " s"]:
    """Compute A_t of ``z_0 = const - sum_t A_t e_t`` for a sampler, network inputs held fixed.

    The scheduler itself is run on one number and differentiated, so that nothing about it is
    assumed but that it is linear, and that is checked. For DDIM the result is
    ``a_0 (s_t/a_t - s_p/a_p)`` with ``a = sqrt(abar)``, ``s = sqrt(1 - abar)``, p the next time.
    For flow matching it is the difference of noise levels, ``s_t - s_p``. Holds for any
    prediction type: e_t is whatever the network puts out.

    Args:
        model: A stack, or a diffusers scheduler; neither is changed. A stack says how the noise
            levels shift with the image's size, where they do.
        steps: Sampling steps.

    Returns:
        One coefficient for each network call, in sampling order, float64 on the CPU. (A few
        schedulers make more calls than ``steps``.)

    Raises:
        ConfigError: ``steps`` is less than 1.
        ModelError: The sampler clips or thresholds its predictions, so it is not linear, or a
            coefficient is not finite (a noise schedule without any signal at its first time).
    """
    near, far = (_derivatives(_fresh(model, steps), value) for value in (0.0, FAR))
    name = type(_fresh(model, steps)).__name__
    if not bool(torch.isfinite(near).all()):
        raise ModelError(
            "The sampler's result has a derivative that is not finite",
            given=f"{name} with {steps} steps",
            do="use a noise schedule that leaves some signal at its first timestep",
        )
    if not torch.allclose(near, far, rtol=LINEAR_TOLERANCE, atol=LINEAR_TOLERANCE):
        raise ModelError(
            "The sampler is not linear in the network's output",
            given=f"{name} with {steps} steps",
            do="set clip_sample and thresholding to false in the scheduler's configuration",
        )
    return -near


def _fresh(model: DiffusionStack | Any, steps: int) -> Any:
    """Make a scheduler with its timesteps set, on the CPU."""
    if isinstance(model, DiffusionStack):
        return model.new_scheduler(steps, device="cpu")
    return fresh_scheduler(model, steps)


def _derivatives(fresh: Any, value: float) -> Float64[Tensor, " s"]:
    """Compute dz_0/de_t on a latent of one number, all outputs equal to ``value``."""
    stepper = Stepper(fresh, torch.Generator().manual_seed(0))
    shape = (1, 1, 1, 1)
    outputs = [
        torch.full(shape, value, dtype=torch.float64, requires_grad=True) for _ in fresh.timesteps
    ]
    latents = torch.zeros(shape, dtype=torch.float64)
    with torch.enable_grad():
        for timestep, output in zip(fresh.timesteps, outputs, strict=True):
            # Some schedulers insist on having scaled an input before they step.
            stepper.scale(latents, timestep)
            latents = stepper.step(output, timestep, latents)
        found = torch.autograd.grad(latents.sum(), outputs, allow_unused=True)
    return torch.stack([torch.zeros(shape) if g is None else g for g in found]).double().flatten()


def step_weights(model: DiffusionStack | Any, steps: int, mode: str) -> Float64[Tensor, " s"]:
    """Compute w_t of the gradient ``sum_t w_t v^T de_t/dtheta``, ``v = dL/dz_0``.

    * ``exact``: ``w_t = -1``, that is A_t := 1 for the sampler in use (paper, section 4.2). Where
      more output means more z_0 (networks that predict the image) it is +1. A step whose output
      does not enter z_0 (A_t = 0, such as a last step between equal noise levels) has no
      direction to keep and gets 0.
    * ``reference``: ``w_t = -A_t / (c_t / gm(c))``, what the authors' code applies: it divides by
      ``c_t = (1 - alpha_t) / (sqrt(abar_t) sqrt(1 - abar_t))`` of the 1000-step DDPM sampler over
      its geometric mean at the timesteps visited, whichever sampler is in use.
    * ``unadjusted``: ``w_t = -A_t``: only the coupling between the steps is left out.

    Args:
        model: A stack, or a diffusers scheduler; neither is changed.
        steps: Sampling steps.
        mode: One of the three (``WeightMode``).

    Returns:
        One weight for each network call, in sampling order, float64 on the CPU.

    Raises:
        ConfigError: An unknown mode, or ``steps`` less than 1.
        ModelError: As ``sampler_coefficients``; or ``reference`` without a DDPM noise schedule.
    """
    if mode not in get_args(WeightMode):
        raise ConfigError(
            "Unknown gradient weights",
            given=mode,
            do=f"choose among {', '.join(get_args(WeightMode))}",
        )
    coefficients = sampler_coefficients(model, steps)
    if mode == "unadjusted":
        return -coefficients
    if mode == "reference":
        return -coefficients / _ddpm_coefficients(_fresh(model, steps))
    enters = coefficients.abs() > NO_INFLUENCE * coefficients.abs().max()
    return -enters.double() * torch.sign(coefficients.sum())


def _ddpm_coefficients(scheduler: Any) -> Float64[Tensor, " s"]:
    """Compute c_t over its geometric mean, at the scheduler's timesteps."""
    cumulative = getattr(scheduler, "alphas_cumprod", None)
    if cumulative is None:
        raise ModelError(
            "The 'reference' weights need a DDPM noise schedule and the scheduler has none",
            given=type(scheduler).__name__,
            do="use the 'exact' weights",
        )
    kept = torch.as_tensor(cumulative, dtype=torch.float64)
    previous = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
    times = scheduler.timesteps.double().round().long()
    signal, share = kept[times], (kept / previous)[times]
    found = (1 - share) / (signal.sqrt() * (1 - signal).sqrt())
    return found / found.log().mean().exp()
