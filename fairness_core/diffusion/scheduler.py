"""Schedulers of one's own: they keep state between steps, so every run needs a fresh one."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from fairness_core.errors import ConfigError, ModelError

__all__ = ["SAMPLERS", "fresh_scheduler", "scheduler_of"]

# Name to class of diffusers and options; none of them adds noise while it samples.
SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    # Latents are not within [-1, 1], to which diffusers would clip them.
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "dpm++2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++"}),
    "euler": ("EulerDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "pndm": ("PNDMScheduler", {"skip_prk_steps": True}),
    "unipc": ("UniPCMultistepScheduler", {}),
}


def fresh_scheduler(
    scheduler: Any, steps: int, *, device: str | torch.device = "cpu", **options: Any
) -> Any:
    """Make a scheduler of the same kind and configuration with ``steps`` timesteps set.

    Args:
        scheduler: Not changed.
        steps: Sampling steps.
        device: Of the timesteps.
        **options: What ``set_timesteps`` is told beside.

    Raises:
        ConfigError: ``steps`` is less than 1.
        ModelError: The scheduler does not take one of the options.
    """
    if steps < 1:
        raise ConfigError("Sampling needs at least one step", given=steps)
    fresh = type(scheduler).from_config(scheduler.config)
    unknown = options.keys() - inspect.signature(fresh.set_timesteps).parameters.keys()
    if unknown:
        raise ModelError(
            f"The scheduler cannot be told {', '.join(sorted(unknown))}, as its pipeline needs",
            given=type(scheduler).__name__,
            do="use the scheduler that the model came with",
        )
    fresh.set_timesteps(steps, device=device, **options)
    return fresh


def scheduler_of(name: str, scheduler: Any) -> Any:
    """Another sampler for the same model: its noise schedule and prediction type are kept.

    Args:
        name: One of ``SAMPLERS``.
        scheduler: The model's own; not changed.

    Raises:
        ConfigError: No such sampler.
        ModelError: The model matches flows, for which these samplers are not.
    """
    if name not in SAMPLERS:
        raise ConfigError(
            "There is no such sampler", given=name, do=f"choose among {', '.join(SAMPLERS)}"
        )
    if "FlowMatch" in type(scheduler).__name__:
        raise ModelError(
            "A flow-matching model has no other samplers here",
            given=f"{name} for {type(scheduler).__name__}",
            do="sweep guidance and steps, and leave the samplers out",
        )
    import diffusers

    kind, options = SAMPLERS[name]
    return getattr(diffusers, kind).from_config(scheduler.config, **options)
