"""Schedulers of one's own: they keep state between steps, so every run needs a fresh one."""

from __future__ import annotations

import hashlib
import inspect
import json
from typing import Any

import torch

from fairness_core.errors import ConfigError, ModelError

__all__ = ["SAMPLERS", "fresh_scheduler", "network_calls", "scheduler_facts", "scheduler_of"]

# Name to class of diffusers and options; none of them adds noise while it samples.
SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    # Latents are not within [-1, 1], to which diffusers would clip them.
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
    "dpm++2m": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2},
    ),
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
        ConfigError: No such sampler, or the model matches flows, for which these are not.
    """
    if name not in SAMPLERS:
        raise ConfigError(
            "There is no such sampler", given=name, do=f"choose among {', '.join(SAMPLERS)}"
        )
    if "FlowMatch" in type(scheduler).__name__:
        raise ConfigError(
            "A flow-matching model has no other samplers here",
            given=f"{name} for {type(scheduler).__name__}",
            do="set models.sampler to null and sweep.samplers to []: the model's own "
            f"{type(scheduler).__name__} fits",
        )
    import diffusers

    kind, options = SAMPLERS[name]
    return getattr(diffusers, kind).from_config(scheduler.config, **options)


def scheduler_facts(scheduler: Any) -> dict[str, str]:
    """What tells a sampler from others, for manifests: ``scheduler``, its class in diffusers.

    ``scheduler_sha256`` is of its whole configuration: noise schedule, order, spacing of times.
    """
    told = {key: value for key, value in scheduler.config.items() if not key.startswith("_")}
    text = json.dumps([type(scheduler).__name__, told], sort_keys=True, default=str)
    return {
        "scheduler": type(scheduler).__name__,
        "scheduler_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


def network_calls(scheduler: Any, steps: int) -> int:
    """Network calls of one sampling: PNDM makes one more than its steps, Heun nearly twice as many.

    Raises:
        ConfigError: ``steps`` is less than 1.
    """
    return len(fresh_scheduler(scheduler, steps).timesteps)
