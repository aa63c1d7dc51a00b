"""Settings of a sampler, one varied at a time, and the prompts that are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.comparison import compare_split
from fairness_core.evaluation.measurements import Assessment, quality_table

__all__ = ["Point", "plan_sweep", "point_figures", "spread_prompts"]


@dataclass(frozen=True)
class Point:
    """One setting.

    Attributes:
        guidance: Of the sampler, >= 1.
        steps: Sampling steps, >= 1.
        sampler: Of ``diffusion.SAMPLERS``; ``own``: what the model came with.
    """

    guidance: float
    steps: int
    sampler: str = "own"

    @property
    def name(self) -> str:
        """Such as ``guidance-3-steps-20-own``; names a folder."""
        return f"guidance-{self.guidance:g}-steps-{self.steps}-{self.sampler}"


def plan_sweep(
    centre: Point,
    *,
    guidance: Sequence[float] = (),
    steps: Sequence[int] = (),
    samplers: Sequence[str] = (),
) -> dict[str, dict[Any, Point]]:
    """Axis to value to setting: one thing is varied, the others are the centre's.

    The centre is a value of every axis that has any, so that each curve passes through it.

    Returns:
        ``guidance``, ``steps`` and ``sampler``, those that are swept; numbers ascend.
    """
    axes: dict[str, dict[Any, Point]] = {}
    if guidance:
        values = sorted({*map(float, guidance), centre.guidance})
        axes["guidance"] = {value: replace(centre, guidance=value) for value in values}
    if steps:
        counts = sorted({*steps, centre.steps})
        axes["steps"] = {value: replace(centre, steps=value) for value in counts}
    if samplers:
        names = dict.fromkeys([centre.sampler, *samplers])
        axes["sampler"] = {name: replace(centre, sampler=name) for name in names}
    return axes


def spread_prompts(prompts: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most so many prompts, evenly spread over the list, in its order."""
    if len(prompts) <= count:
        return prompts
    return prompts.iloc[np.linspace(0, len(prompts) - 1, count).round().astype(int)]


def point_figures(
    seen: Mapping[str, Assessment],
    prompts: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    *,
    split: str,
) -> dict[str, Any]:
    """Figures of both models at one setting.

    Args:
        seen: ``base`` and ``aligned``, of the same prompts and noise.
        prompts: The checked catalog.
        space: The measured attributes.
        bootstrap: Intervals.
        split: Of the prompts.

    Returns:
        As `compare` for one split: ``base``, ``aligned``, ``change``, ``n_prompts``,
        ``images_per_prompt``.
    """
    faces = pd.concat([part.faces for part in seen.values()], ignore_index=True)
    cosines = [quality_table(part, seen["base"]) for part in seen.values()]
    quality = pd.concat(cosines, ignore_index=True)
    return compare_split(faces, quality, prompts, space, split, bootstrap)
