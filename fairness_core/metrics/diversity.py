"""How different the images of one group are from each other, for two models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fairness_core.errors import ArtifactError
from fairness_core.metrics.intervals import Interval, check_resampling, percentiles, prompt_blocks

__all__ = ["PairedMeans", "mean_pairwise_distance", "paired_means"]


@dataclass(frozen=True)
class PairedMeans:
    """Means over prompts of a figure of two models.

    Attributes:
        before: Of the first model.
        after: Of the second.
        difference: after - before.
        ratio: after / before; None where ``before`` is 0.
        prompts: Their number.
    """

    before: Interval
    after: Interval
    difference: Interval
    ratio: Interval | None
    prompts: int


def mean_pairwise_distance(embeddings: Float[np.ndarray, "n d"]) -> float:
    """Mean over pairs i < j of 1 - cos(e_i, e_j) = 1 - (|sum_i e_i|^2 - n) / (n (n - 1)).

    Its expectation does not depend on n, so that groups of different sizes can be compared.

    Args:
        embeddings: Unit vectors, two or more.

    Returns:
        In [0, 2]; 0 where all are the same image.

    Raises:
        ArtifactError: Fewer than two.
    """
    n = len(embeddings)
    if n < 2:
        raise ArtifactError("A distance between images needs two of them", given=n)
    total = embeddings.sum(axis=0, dtype=np.float64)
    return float(1 - (total @ total - n) / (n * (n - 1)))


def paired_means(
    before: Float[np.ndarray, " p"],
    after: Float[np.ndarray, " q"],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> PairedMeans:
    """Means of one figure per prompt, bootstrapped over prompts, the same ones for both models.

    Args:
        before: The first model's figures.
        after: The second model's, of the same prompts.
        rng: Generator of the resamples.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Raises:
        ArtifactError: Lengths that differ.
        FaceError: No prompt.
        ConfigError: Level or resamples out of range.
    """
    if before.shape != after.shape:
        raise ArtifactError(
            "Two models' figures differ in prompts", given=(len(before), len(after))
        )
    check_resampling(np.ones((len(before), 1), dtype=np.int64), resamples, level)
    blocks = [
        (before[chosen].mean(1), after[chosen].mean(1))
        for chosen in prompt_blocks(np.ones((len(before), 1), dtype=np.int64), resamples, rng)
    ]
    b, a = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    first, second = float(before.mean()), float(after.mean())
    return PairedMeans(
        before=percentiles(first, b, level),
        after=percentiles(second, a, level),
        difference=percentiles(second - first, a - b, level),
        ratio=percentiles(second / first, a[b > 0] / b[b > 0], level) if first > 0 else None,
        prompts=len(before),
    )
