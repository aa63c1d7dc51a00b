"""Means of per-image figures (CLIP-T, CLIP-I, DINO, no face) with intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.metrics.intervals import Interval, percentiles

__all__ = ["mean_interval"]

BLOCK_VALUES = 2_000_000  # resampled values held in memory at once


def mean_interval(
    values: ArrayLike,
    prompts: ArrayLike,
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Mean over prompts of each prompt's mean, bootstrapped over prompts and images within.

    Give a difference of two models' values, image by image, for the interval of a change, and
    True/False for a rate.

    Args:
        values: One figure per image, finite; any unit.
        prompts: The prompt of each image.
        rng: Generator of the resamples.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Returns:
        The mean and its percentile interval, in the values' unit.

    Raises:
        ArtifactError: No value, a value that is not finite, or lengths that differ.
        ConfigError: Level or resamples out of range.
    """
    array = np.asarray(values, dtype=np.float64)
    codes, names = pd.factorize(np.asarray(prompts))
    if array.size == 0 or array.shape != codes.shape:
        raise ArtifactError(
            "A mean needs one value and one prompt per image", given=(array.shape, codes.shape)
        )
    if not np.isfinite(array).all():
        raise ArtifactError(
            "A per-image figure is not finite", given=f"{(~np.isfinite(array)).sum()} images"
        )
    if resamples < 1 or not 0.0 < level < 1.0:
        raise ConfigError(
            "An interval needs a resample and a level in (0, 1)", given=(resamples, level)
        )
    sizes = np.bincount(codes, minlength=len(names))
    estimate = float((np.bincount(codes, weights=array) / sizes).mean())
    ordered = array[np.argsort(codes, kind="stable")]
    means = np.concatenate(list(_resample(ordered, sizes, rng, resamples)))
    return percentiles(estimate, means, level)


def _resample(
    ordered: Float[np.ndarray, " m"],
    sizes: Int[np.ndarray, " p"],
    rng: np.random.Generator,
    resamples: int,
) -> Iterator[Float[np.ndarray, " b"]]:
    """Mean of prompt means of every resample; ``ordered`` holds the prompts one after another."""
    prompts, widest = len(sizes), int(sizes.max())
    starts = np.cumsum(sizes) - sizes
    block = max(1, BLOCK_VALUES // (prompts * widest))
    for done in range(0, resamples, block):
        chosen = rng.integers(prompts, size=(min(block, resamples - done), prompts))
        n = sizes[chosen][..., None]
        place = (rng.random((*chosen.shape, widest)) * n).astype(np.int64)
        drawn = ordered[starts[chosen][..., None] + place]
        counted = np.arange(widest) < n
        yield ((drawn * counted).sum(-1) / n[..., 0]).mean(-1)
