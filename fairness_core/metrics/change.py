"""How the bias of the same prompts differs between two models, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from fairness_core.errors import ArtifactError, TargetError
from fairness_core.metrics.floor import prompt_floors
from fairness_core.metrics.intervals import (
    Interval,
    check_resampling,
    mean_bias,
    percentiles,
    prompt_blocks,
    resampled_bias,
)
from fairness_core.metrics.parity import parity_gaps

__all__ = ["Change", "paired_change"]

PAIRED_VALUES = 8_000_000  # resampled counts held in memory at once


@dataclass(frozen=True)
class Change:
    """Bias of two models on the same prompts.

    Attributes:
        before: Mean bias of the first model.
        after: Mean bias of the second.
        difference: after - before; below 0 is an improvement.
        floor_before: What a fair sampler scores on the first model's numbers of faces.
        floor_after: The same for the second model.
        reduction: 1 - (after - floor_after) / (before - floor_before): the share of the distance
            to the floor that is gone, at most 1 unless ``after`` lies below its floor. None where
            ``before`` cannot be told from its floor (estimate, or more than a tail of resamples,
            at or below it), as there is then nothing to reduce.
        prompts: Prompts with a face in both models, over which all of this is taken.
        dropped: Prompts left out because one of the models shows no face.
    """

    before: Interval
    after: Interval
    difference: Interval
    floor_before: float
    floor_after: float
    reduction: Interval | None
    prompts: int
    dropped: int


def paired_change(
    before: Int[np.ndarray, "p k"],
    after: Int[np.ndarray, "p k"],
    target: Sequence[float] | Float[np.ndarray, "..."],
    *,
    rng: np.random.Generator,
    pairs: Int[np.ndarray, "p c c"] | None = None,
    resamples: int = 1000,
    level: float = 0.95,
) -> Change:
    """How the mean bias of the same prompts changed, in itself and towards the fair floor.

    Resamples as ``bias_interval`` does, with the same prompts for both models each time, so that
    differences between prompts cancel. With ``pairs`` an image is drawn together with the other
    model's image of its noise, so that what the two have in common cancels too; without, faces are
    drawn for each model on its own, which is wider where images of one noise are alike.

    Args:
        before: Faces per prompt and class of the first model.
        after: The same of the second; row i is the same prompt.
        target: Shares of the classes or cells that a fair sampler draws from; or one row for each
            prompt.
        rng: Generator of the resamples.
        pairs: From ``paired_cells``, of the same prompts; None: the images are not paired.
        resamples: At least 1.
        level: Coverage, in (0, 1).

    Returns:
        Both means, their difference, both floors and the reduction.

    Raises:
        FaceError: No prompt has a face in both.
        ConfigError: Level or resamples out of range.
        ArtifactError: The two tables differ in shape, or the pairs are not of their faces.
        TargetError: ``target`` is not a distribution over the tables' classes.
    """
    if before.shape != after.shape:
        raise ArtifactError(
            "The two models' counts differ in prompts or classes",
            given=(before.shape, after.shape),
            do="count faces of the same prompts and classes",
        )
    shares = np.asarray(target, dtype=np.float64)
    if shares.shape[-1] != before.shape[1]:
        raise TargetError(
            f"The target has {shares.shape[-1]} shares for {before.shape[1]} classes",
            given=shares.tolist(),
        )
    both = (before.sum(1) > 0) & (after.sum(1) > 0)
    if pairs is not None:
        _check_pairs(pairs, before, after)
        pairs = pairs[both]
    first, second = before[both], after[both]
    shares = shares[both] if shares.ndim == 2 else shares
    check_resampling(first, resamples, level)
    floors = [prompt_floors(counts.sum(1), shares) for counts in (first, second)]
    estimates = [mean_bias(first), mean_bias(second)]
    blocks = [
        [*_resampled(first, second, pairs, chosen, rng)]
        + [floor[chosen].mean(1) for floor in floors]
        for chosen in prompt_blocks(first, resamples, rng)
    ]
    b, a, floor_b, floor_a = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    b, a = b - b.mean() + estimates[0], a - a.mean() + estimates[1]
    return Change(
        before=percentiles(estimates[0], np.clip(b, 0.0, 1.0), level),
        after=percentiles(estimates[1], np.clip(a, 0.0, 1.0), level),
        difference=percentiles(estimates[1] - estimates[0], a - b, level),
        floor_before=float(floors[0].mean()),
        floor_after=float(floors[1].mean()),
        reduction=_reduction(
            (estimates[0] - float(floors[0].mean()), estimates[1] - float(floors[1].mean())),
            (b - floor_b, a - floor_a),
            level,
        ),
        prompts=int(both.sum()),
        dropped=int((~both).sum()),
    )


def _check_pairs(
    pairs: Int[np.ndarray, "p c c"],
    before: Int[np.ndarray, "p k"],
    after: Int[np.ndarray, "p k"],
) -> None:
    k = before.shape[1]
    if (
        pairs.shape != (len(before), k + 1, k + 1)
        or (pairs.sum(2)[:, :k] != before).any()
        or (pairs.sum(1)[:, :k] != after).any()
    ):
        raise ArtifactError(
            "The pairs of images are not of the counted faces", given=(pairs.shape, before.shape)
        )


def _resampled(
    first: Int[np.ndarray, "p k"],
    second: Int[np.ndarray, "p k"],
    pairs: Int[np.ndarray, "p c c"] | None,
    chosen: Int[np.ndarray, "b p"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]]:
    """Mean bias of both models in each resample."""
    if pairs is None:
        return resampled_bias(first, chosen, rng), resampled_bias(second, chosen, rng)
    n = pairs.sum((1, 2))
    shares = (pairs / n[:, None, None]).reshape(len(n), -1)
    parts = max(1, chosen.size * shares.shape[1] // PAIRED_VALUES)
    means = []
    for rows in np.array_split(chosen, min(parts, len(chosen))):
        drawn = rng.multinomial(n[rows], shares[rows]).reshape(*rows.shape, *pairs.shape[1:])
        means.append([_mean_gap(drawn.sum(axis)[..., :-1]) for axis in (-1, -2)])
    before, after = zip(*means, strict=True)
    return np.concatenate(before), np.concatenate(after)


def _mean_gap(counts: Int[np.ndarray, "b p k"]) -> Float[np.ndarray, " b"]:
    """Mean bias over those prompts that the draw left a face."""
    n = counts.sum(-1)
    gaps = parity_gaps(counts / n.clip(min=1)[..., None])
    return np.asarray((gaps * (n > 0)).sum(-1) / (n > 0).sum(-1).clip(min=1))


def _reduction(
    estimates: tuple[float, float],
    distances: tuple[Float[np.ndarray, " b"], Float[np.ndarray, " b"]],
    level: float,
) -> Interval | None:
    before, after = distances
    useful = before > 0
    if estimates[0] <= 0 or (~useful).mean() > (1 - level) / 2:
        return None
    ratio = 1.0 - after[useful] / before[useful]
    return percentiles(1.0 - estimates[1] / estimates[0], ratio, level)
