"""Schedulers of one's own: they keep state between steps, so every run needs a fresh one."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from fairness_core.errors import ConfigError, ModelError

__all__ = ["fresh_scheduler"]


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
