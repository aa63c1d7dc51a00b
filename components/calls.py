"""Network calls of the run's sampler, which may be more than its steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from components.published import PUBLISHED

if TYPE_CHECKING:
    from fairness_core.config import Params

__all__ = ["calls_of"]


def calls_of(params: Params) -> Callable[[int], int]:
    """Network calls of one sampling, by its steps; the published model's where base is not there.

    Raises:
        ConfigError: The sampler does not suit the base model.
        ModelError: The base model's folder holds no scheduler of diffusers.
    """
    from diffusers import PNDMScheduler

    from fairness_core.diffusion import load_scheduler, network_calls, scheduler_of
    from fairness_core.portraits.models import PREFIX, resolve

    base, sampler = params.models.base, params.models.sampler
    if base.startswith(PREFIX) or Path(base).is_dir():
        scheduler = load_scheduler(resolve(base), sampler)
    else:
        published = PNDMScheduler(**PUBLISHED["scheduler"])
        scheduler = published if sampler is None else scheduler_of(sampler, published)
    return lambda steps: network_calls(scheduler, steps)
