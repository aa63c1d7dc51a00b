"""Shares of perceived classes per prompt, with Wilson intervals, for both models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.metrics import count_faces, parity_gaps, wilson
from fairness_core.reporting.data import MODELS
from fairness_core.reporting.summary import Estimate

__all__ = ["ClassShare", "PromptShares", "prompt_shares"]


@dataclass(frozen=True)
class ClassShare:
    """Share of one class or cell among a prompt's faces, with its 95 % Wilson interval."""

    name: str
    target: float
    count: int
    estimate: Estimate


@dataclass(frozen=True)
class PromptShares:
    """One prompt, one model, one attribute or several jointly.

    Attributes:
        images: Images generated.
        faces: Images in which a face was found: the denominator of every share.
        classes: One share per class or cell, in the space's order.
        gap: Mean over class pairs of |share_i - share_j|, in [0, 1]; None without a face.
    """

    images: int
    faces: int
    classes: tuple[ClassShare, ...]
    gap: float | None


def prompt_shares(
    faces: pd.DataFrame,
    space: AttributeSpace,
    attributes: Sequence[str],
    models: Sequence[str] = MODELS,
) -> dict[str, dict[str, PromptShares]]:
    """Shares of every class or cell, by model and then by prompt id.

    Args:
        faces: One row per image: prompt_id, model, present and each attribute's class name.
        space: Gives classes and targets; several attributes have the independent joint target.
        attributes: The attributes to count; several are counted jointly.
        models: Models to count, each on its own.

    Raises:
        ArtifactError: A class name that the space does not have.
        ConfigError: An attribute that the space does not have.
    """
    target = space.subset(attributes).cell_target
    result: dict[str, dict[str, PromptShares]] = {}
    for model in models:
        counted = count_faces(faces[faces["model"] == model], space, attributes)
        totals = counted.counts.sum(axis=1)
        low, high = wilson(counted.counts, totals[:, None])
        result[model] = {}
        for p, prompt_id in enumerate(counted.prompts):
            total, images = int(totals[p]), int(counted.images[p])
            shares = counted.counts[p] / max(total, 1)
            classes = tuple(
                ClassShare(
                    name.replace("/", " \u00b7 "),
                    target[k],
                    int(counted.counts[p, k]),
                    Estimate(float(shares[k]), float(low[p, k]), float(high[p, k]))
                    if total
                    else Estimate(None),
                )
                for k, name in enumerate(counted.cells)
            )
            gap = float(parity_gaps(shares)) if total else None
            result[model][prompt_id] = PromptShares(images, total, classes, gap)
    return result
