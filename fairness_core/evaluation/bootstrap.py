"""Where the evaluation's intervals draw their resamples from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairness_core.runtime.seeds import seed_for

__all__ = ["Bootstrap"]


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
