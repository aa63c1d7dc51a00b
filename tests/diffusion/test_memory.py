"""What the products keep in memory does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.gradient_memory import by_plain_graph, peak_bytes
from fairness_core.diffusion import DiffusionStack, accumulate_gradient, encode_prompts, sample


def test_peak_memory_is_that_of_one_step(
    fresh: Callable[[], DiffusionStack], generator: torch.Generator
) -> None:
    stack = fresh()
    stack.unet.requires_grad_(True)
    noise = torch.randn(2, *stack.latent_shape, generator=generator)
    embedding = encode_prompts(stack, ["a pilot", "a nurse"])
    empty = encode_prompts(stack, [""])
    trajectory = sample(stack, noise, embedding, empty, guidance=3.0, steps=8)
    options: dict[str, Any] = {
        "embedding": embedding,
        "empty": empty,
        "guidance": 3.0,
        "weights": torch.ones(8, dtype=torch.float64),
        "scale": 1.0,
    }

    def peak(steps: int) -> int:
        return peak_bytes(
            lambda: accumulate_gradient(stack, trajectory, noise, indices=range(steps), **options)
        )

    peak(1)  # the gradients are made once
    one, eight = peak(1), peak(8)
    assert one > 100_000
    assert eight <= 1.01 * one
    graph = [peak_bytes(lambda n=n: by_plain_graph(stack, noise, n)) for n in (1, 4)]
    assert graph[1] > 2 * graph[0]
