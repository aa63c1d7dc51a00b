"""All that changes while a run goes on: what a checkpoint holds."""

from __future__ import annotations

import pandas as pd
import torch

from fairness_core.diffusion import DiffusionStack, adapter_state, load_adapter_state, trainable
from fairness_core.training.checkpoint import Checkpoint
from fairness_core.training.ema import MovingAverage
from fairness_core.training.optim import load_optimizer_state, new_optimizer, optimizer_state
from fairness_core.training.parts import Schedule

__all__ = ["TrainingState"]


class TrainingState:
    """Adapters, their optimizer and moving average, and the log.

    Every random stream depends on the iteration alone, so this is all that a run goes on from.

    Attributes:
        parameters: The stack's adapters by name; they are trained in place.
        optimizer: AdamW over them.
        average: Their moving average.
        rows: One row per iteration done.
    """

    def __init__(self, stack: DiffusionStack, schedule: Schedule) -> None:
        """Start from the stack's adapters as they are."""
        self.stack = stack
        self.parameters = trainable(stack)
        self.optimizer = new_optimizer(
            self.parameters,
            learning_rate=schedule.learning_rate,
            betas=schedule.betas,
            weight_decay=schedule.weight_decay,
        )
        self.average = MovingAverage(self.parameters, schedule.ema_decay)
        self.schedule = schedule
        self.rows: list[dict[str, float]] = []

    @property
    def done(self) -> int:
        """Iterations done."""
        return len(self.rows)

    def clear_gradient(self) -> None:
        """Forget the last iteration's gradient."""
        self.optimizer.zero_grad(set_to_none=True)

    def gradient_norm(self) -> float:
        """Euclidean norm of the gradient of all adapters."""
        norms = [p.grad.norm() for p in self.parameters.values() if p.grad is not None]
        return float(torch.stack(norms).norm())

    def step(self) -> None:
        """Move the adapters along their gradient, shortened to the limit, and their average after.

        One batch with a far larger gradient would otherwise stay in AdamW's second moment, and
        shorten every step, for hundreds of iterations.
        """
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.schedule.max_gradient_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.done)
        self.optimizer.step()
        self.average.update(self.parameters)

    def checkpoint(self) -> Checkpoint:
        """Copy the state as it is now."""
        return Checkpoint(
            iteration=self.done,
            weights=adapter_state(self.stack),
            average={name: weight.clone() for name, weight in self.average.weights.items()},
            updates=self.average.updates,
            optimizer=optimizer_state(self.optimizer, self.parameters),
            log=pd.DataFrame(self.rows),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put back what ``checkpoint`` copied."""
        load_adapter_state(self.stack, checkpoint.weights)
        load_optimizer_state(self.optimizer, self.parameters, checkpoint.optimizer)
        self.average.restore(checkpoint.average, checkpoint.updates)
        self.rows = [
            {str(name): value for name, value in row.items()}
            for row in checkpoint.log.to_dict("records")
        ]
