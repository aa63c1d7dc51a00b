"""The worst prompt, with an interval that holds for all prompts at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from fairness_core.metrics.intervals import Interval, check_resampling
from fairness_core.metrics.parity import parity_gaps

__all__ = ["worst_prompt"]


def worst_prompt(
    counts: Int[np.ndarray, "p k"],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[int, Interval]:
    """Largest bias of any prompt: quantiles of max over prompts of the gap of Dirichlet draws.

    Every prompt's shares are drawn from their posterior under k counts of 1/k each (one face in
    all) before the first face, and the largest gap is taken of each joint draw: no claim about one
    prompt picked afterwards needs a further correction. Few faces widen the interval, and one class
    only does not close it, unlike with a bootstrap.

    Args:
        counts: Faces per prompt and class; prompts without a face are left out.
        rng: Generator of the draws.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Returns:
        Row of the worst prompt, and its bias with the interval, within [0, 1].

    Raises:
        FaceError: No prompt has a face.
        ConfigError: Level or resamples out of range.
    """
    rows = np.flatnonzero(counts.sum(1) > 0)
    measured = counts[rows]
    check_resampling(measured, resamples, level)
    gaps = parity_gaps(measured / measured.sum(1, keepdims=True))
    worst = int(gaps.argmax())
    largest = np.zeros(resamples)
    for row in measured:
        drawn = rng.dirichlet(row + 1.0 / counts.shape[1], size=resamples)
        np.maximum(largest, parity_gaps(drawn), out=largest)
    low, high = np.quantile(largest, [(1 - level) / 2, (1 + level) / 2])
    estimate = float(gaps[worst])
    # The largest of many noisy gaps lies above most of their true values.
    return int(rows[worst]), Interval(
        estimate, min(float(low), estimate), max(float(high), estimate)
    )
