"""The one training loop of the small networks: AdamW, linear warm-up, cosine decay."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor, nn

__all__ = ["OnStep", "minimise", "seeded"]

OnStep = Callable[[int, float], None]
"""Called after each step with its number (from 0) and its loss."""


Network = TypeVar("Network", bound=nn.Module)


def seeded(build: Callable[[], Network], seed: int) -> Network:
    """Build a network whose initial weights depend on ``seed`` alone; global state is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def minimise(
    parameters: Iterable[nn.Parameter],
    loss_at: Callable[[int], Tensor],
    *,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.01,
    clip: float = 1.0,
    on_step: OnStep | None = None,
) -> list[float]:
    """Minimise ``loss_at`` over the parameters; returns the loss of every step.

    Args:
        parameters: What is trained.
        loss_at: Loss of the step of that number, as a scalar with a graph.
        steps: Number of updates; 0 trains nothing.
        learning_rate: Peak, reached after a twentieth of the steps; it ends at a hundredth.
        weight_decay: For tensors with more than one axis; none for biases and norms.
        clip: Largest norm of the gradient.
        on_step: Progress callback.
    """
    trained = [p for p in parameters if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=learning_rate,
    )
    warm = max(1, steps // 20)
    history = []
    for step in range(steps):
        progress = max(0.0, (step - warm) / max(1, steps - warm))
        factor = min((step + 1) / warm, 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * factor
        loss = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(trained, clip)
        optimizer.step()
        history.append(float(loss.detach()))
        if on_step is not None:
            on_step(step, history[-1])
    return history
