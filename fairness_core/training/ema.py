"""Moving average of the trained weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fairness_core.errors import ConfigError

__all__ = ["MovingAverage"]


class MovingAverage:
    """avg <- d avg + (1 - d) w with d = min((1 + n)/(10 + n), decay) at the n-th update.

    Attributes:
        weights: The average, by name, float32 on the CPU.
        updates: n, how often it was updated.
    """

    def __init__(self, weights: Mapping[str, Tensor], decay: float) -> None:
        """Start from these weights.

        Raises:
            ConfigError: ``decay`` is outside [0, 1).
        """
        if not 0.0 <= decay < 1.0:
            raise ConfigError("The EMA decay is outside [0, 1)", given=decay)
        self.weights = {name: w.detach().float().cpu().clone() for name, w in weights.items()}
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Take one step towards the weights, given under the same names."""
        keep = min((1 + self.updates) / (10 + self.updates), self.decay)
        for name, average in self.weights.items():
            average.lerp_(weights[name].detach().float().cpu(), 1 - keep)
        self.updates += 1

    def restore(self, weights: Mapping[str, Tensor], updates: int) -> None:
        """Go on from an average and the number of its updates."""
        self.weights = {name: average.clone() for name, average in weights.items()}
        self.updates = updates
