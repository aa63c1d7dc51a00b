"""How far a model's images are from the base's as a whole, beside what chance alone gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Int

from fairness_core.evaluation.bootstrap import Bootstrap, with_intervals
from fairness_core.evaluation.diversity import split_rows
from fairness_core.evaluation.measurements import Assessment
from fairness_core.metrics import Interval, frechet_distance, percentiles

__all__ = ["frechet_figures"]

LEVEL = 0.95
HALVINGS = 10
# Each takes two decompositions as wide as the embedding.
RESAMPLES = 200


def frechet_figures(
    base: Assessment, other: Assessment, bootstrap: Bootstrap, *, split: str
) -> dict[str, Any]:
    """Frechet distance of DINO embeddings between halves of two models' images.

    The distance between two finite samples of one model is not 0. So each prompt's images are
    halved at random, time and again: ``distance`` is between one half of the base's and the other
    half, of other noise, of the other model's; ``floor`` between the two halves of the base's.

    Args:
        base: The base model's measurements.
        other: The other model's.
        bootstrap: Intervals over prompts, of at most 200 resamples.
        split: Whose prompts.

    Returns:
        ``distance``, ``floor`` and ``excess`` (their difference), means over 10 halvings;
        ``ci95`` of the three; ``images`` of a half, ``prompts``, ``dimensions`` of an embedding.
        Empty where a prompt has a single image.
    """
    (faces, first), (_, second) = split_rows(base, split), split_rows(other, split)
    groups = [np.asarray(rows) for rows in faces.groupby("prompt_id").indices.values()]
    if min(map(len, groups)) < 2:
        return {}
    rng = bootstrap.rng("frechet", split)

    def measured(chosen: Int[np.ndarray, " p"]) -> tuple[float, float]:
        left, right = zip(*(_halves(groups[i], rng) for i in chosen), strict=True)
        here, there = np.concatenate(left), np.concatenate(right)
        return (
            frechet_distance(first[here], second[there]),
            frechet_distance(first[here], first[there]),
        )

    every = np.arange(len(groups))
    distance, floor = np.mean([measured(every) for _ in range(HALVINGS)], axis=0)
    drawn = np.array(
        [
            measured(rng.integers(len(groups), size=len(groups)))
            for _ in range(min(bootstrap.resamples, RESAMPLES))
        ]
    )
    columns = {
        "distance": (distance, drawn[:, 0]),
        "floor": (floor, drawn[:, 1]),
        "excess": (distance - floor, drawn[:, 0] - drawn[:, 1]),
    }
    # Prompts drawn twice make a sample narrower: as with the bias, the resamples are moved.
    parts: dict[str, Interval | None] = {
        name: percentiles(float(value), column - column.mean() + value, LEVEL)
        for name, (value, column) in columns.items()
    }
    return {
        **with_intervals(parts),
        "images": sum(len(rows) // 2 for rows in groups),
        "prompts": len(groups),
        "dimensions": int(first.shape[1]),
    }


def _halves(
    rows: Int[np.ndarray, " n"], rng: np.random.Generator
) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
    mixed = rng.permutation(rows)
    half = len(rows) // 2
    return mixed[:half], mixed[half : 2 * half]
