"""Intervals of a mean bias over prompts and of one share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from fairness_core.errors import ArtifactError, ConfigError, FaceError
from fairness_core.metrics.parity import parity_gaps

__all__ = [
    "Interval",
    "bias_interval",
    "check_resampling",
    "mean_bias",
    "percentiles",
    "prompt_blocks",
    "resampled_bias",
    "share_intervals",
    "wilson",
]

BLOCK = 1000  # resamples held in memory at once


@dataclass(frozen=True)
class Interval:
    """An estimate and where it may lie.

    Attributes:
        estimate: The measured value.
        low: Lower end.
        high: Upper end.
    """

    estimate: float
    low: float
    high: float

    @property
    def ci(self) -> tuple[float, float]:
        """The two ends."""
        return self.low, self.high


def bias_interval(
    counts: Int[np.ndarray, "p k"],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Mean over prompts of the bias, with a bootstrap over prompts and faces within prompts.

    Each resample draws p prompts with replacement and, for each, as many faces as it has with
    replacement; the interval is the percentile interval, moved so that the resamples' mean is the
    estimate. Without that move it would be wrong: |f_i - f_j| of faces drawn anew is larger on
    average, so that a fair sampler (24 prompts, 40 images, four classes) would never have its own
    expectation inside its interval. As moved it covers the expected bias at these numbers of
    faces, the quantity that ``fair_floor`` gives for a fair sampler, in 93-99 % of samples.

    Args:
        counts: Faces per prompt and class; prompts without a face are left out.
        rng: Generator of the resamples.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Returns:
        Mean bias and its interval, within [0, 1].

    Raises:
        FaceError: No prompt has a face.
        ConfigError: Level or resamples out of range.
    """
    measured = counts[counts.sum(1) > 0]
    check_resampling(measured, resamples, level)
    estimate = mean_bias(measured)
    blocks = prompt_blocks(measured, resamples, rng)
    means = np.concatenate([resampled_bias(measured, chosen, rng) for chosen in blocks])
    moved = np.clip(means - means.mean() + estimate, 0.0, 1.0)
    return percentiles(estimate, moved, level)


def percentiles(estimate: float, resampled: Float[np.ndarray, " b"], level: float) -> Interval:
    """The estimate with the (1 - level)/2 and (1 + level)/2 quantiles of its resamples.

    Args:
        estimate: The measured value.
        resampled: The same statistic of every resample.
        level: Coverage, in (0, 1).
    """
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(estimate), float(low), float(high))


def wilson(
    successes: ArrayLike, trials: ArrayLike, *, level: float = 0.95
) -> tuple[Float[np.ndarray, "*batch"], Float[np.ndarray, "*batch"]]:
    """Wilson score interval of a share: (f + z^2/2n -+ z sqrt(f(1-f)/n + z^2/4n^2)) / (1 + z^2/n).

    Args:
        successes: Faces of the class, in [0, trials].
        trials: Faces, >= 0; with none the interval is [0, 1].
        level: Coverage, in (0, 1).

    Returns:
        Lower and upper ends, in [0, 1], of the arguments' shape.

    Raises:
        ArtifactError: Counts that are negative, or more successes than trials.
        ConfigError: Level out of range.
    """
    k, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    if (k < 0).any() or (k > n).any():
        raise ArtifactError("A share needs 0 <= successes <= trials", given=(successes, trials))
    _check_level(level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    safe = np.maximum(n, 1.0)
    f = k / safe
    centre = (f + z**2 / (2 * safe)) / (1 + z**2 / safe)
    half = z * np.sqrt(f * (1 - f) / safe + (z / (2 * safe)) ** 2) / (1 + z**2 / safe)
    # The ends at 0 and n successes are 0 and 1; rounding must not move them.
    low = np.where((n > 0) & (k > 0), centre - half, 0.0)
    high = np.where((n > 0) & (k < n), centre + half, 1.0)
    return np.asarray(low), np.asarray(high)


def share_intervals(
    counts: Int[np.ndarray, "p k"],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    level: float = 0.95,
) -> tuple[Interval, ...]:
    """Mean over prompts of each class's share, resampled as ``bias_interval`` does.

    Args:
        counts: Faces per prompt and class; prompts without a face are left out.
        rng: Generator of the resamples.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Returns:
        One percentile interval for each class, in [0, 1].

    Raises:
        FaceError: No prompt has a face.
        ConfigError: Level or resamples out of range.
    """
    measured = counts[counts.sum(1) > 0]
    check_resampling(measured, resamples, level)
    n = measured.sum(1)
    shares = measured / n[:, None]
    drawn = [
        (rng.multinomial(n[chosen], shares[chosen]) / n[chosen][..., None]).mean(1)
        for chosen in prompt_blocks(measured, resamples, rng)
    ]
    return tuple(
        percentiles(float(estimate), column, level)
        for estimate, column in zip(shares.mean(0), np.concatenate(drawn).T, strict=True)
    )


def mean_bias(counts: Int[np.ndarray, "p k"]) -> float:
    """Mean over prompts of the bias.

    Args:
        counts: Faces per prompt and class; every prompt has at least one.
    """
    return float(parity_gaps(counts / counts.sum(1, keepdims=True)).mean())


def prompt_blocks(
    counts: Int[np.ndarray, "p k"], resamples: int, rng: np.random.Generator
) -> Iterator[Int[np.ndarray, "b p"]]:
    """Prompt indices of the resamples, drawn with replacement, at most BLOCK at a time.

    Args:
        counts: One row per prompt.
        resamples: How many in all.
        rng: Generator.

    Yields:
        Blocks of resamples.
    """
    prompts = counts.shape[0]
    for start in range(0, resamples, BLOCK):
        yield rng.integers(prompts, size=(min(BLOCK, resamples - start), prompts))


def resampled_bias(
    counts: Int[np.ndarray, "p k"], chosen: Int[np.ndarray, "b p"], rng: np.random.Generator
) -> Float[np.ndarray, " b"]:
    """Mean bias of the chosen prompts, each with its faces drawn anew with replacement.

    Args:
        counts: Faces per prompt and class; every prompt has at least one.
        chosen: Prompt indices of each resample.
        rng: Generator.

    Returns:
        One mean per resample, in [0, 1].
    """
    n = counts.sum(1)
    shares = counts / n[:, None]
    drawn = rng.multinomial(n[chosen], shares[chosen])
    return np.asarray(parity_gaps(drawn / n[chosen][..., None]).mean(1))


def check_resampling(counts: Int[np.ndarray, "p k"], resamples: int, level: float) -> None:
    """Refuse what no interval can be made of.

    Args:
        counts: Faces of the prompts that have any.
        resamples: At least 1.
        level: In (0, 1).

    Raises:
        FaceError: No prompt.
        ConfigError: Level or resamples out of range.
    """
    if counts.shape[0] == 0:
        raise FaceError(
            "No prompt has a face to measure", do="look at the images and the detector's threshold"
        )
    if resamples < 1:
        raise ConfigError("An interval needs at least one resample", given=resamples)
    _check_level(level)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ConfigError("The level of an interval is outside (0, 1)", given=level, do="use 0.95")
