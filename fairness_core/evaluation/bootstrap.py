"""Where the evaluation's intervals draw their resamples from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairness_core.metrics import Interval
from fairness_core.runtime.seeds import seed_for

__all__ = ["Bootstrap", "with_intervals"]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: 95 %, percentile.

    Attributes:
        seed: Enters every figure's own generator, with the figure's name.
        resamples: At least 1.
    """

    seed: int
    resamples: int

    def rng(self, *names: str) -> np.random.Generator:
        """Generator of one figure."""
        return np.random.default_rng(seed_for(self.seed, "evaluate_bias", *names))


def with_intervals(parts: Mapping[str, Interval | None]) -> dict[str, Any]:
    """Each estimate under its name, and under ``ci95`` each interval; null where there is none."""
    return {
        **{name: part.estimate if part else None for name, part in parts.items()},
        "ci95": {name: list(part.ci) if part else None for name, part in parts.items()},
    }
