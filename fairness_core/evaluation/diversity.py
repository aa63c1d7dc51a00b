"""Variety of a model's images within a prompt, and within a class of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap, with_intervals
from fairness_core.evaluation.measurements import Assessment
from fairness_core.groups import group_name, measured_groups
from fairness_core.metrics import mean_pairwise_distance, paired_means

__all__ = ["diversity_figures", "split_rows"]

# Of one prompt and class, in each model: with fewer a mean over pairs says little.
LEAST_IMAGES = 3


def diversity_figures(
    base: Assessment,
    other: Assessment,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    *,
    split: str,
    model: str = "aligned",
) -> dict[str, Any]:
    """Mean distance (1 - cosine of DINO embeddings) between images of one prompt and class.

    A model can show all classes and yet the same person of each: then these fall. Classes are
    those that the audit classifier perceives; a prompt and class counts where both models have
    three images of it.

    Args:
        base: The base model's measurements.
        other: The other model's.
        space: The measured attributes.
        bootstrap: Intervals over prompts.
        split: The held-out split.
        model: The other model's name in the result.

    Returns:
        ``prompt``: between any images of one prompt. Then by group, such as ``gender`` or
        ``gender_x_race``: within prompt and class, mean over classes, and by class, such as
        ``gender=female``. Each has ``base``, the model's name, ``difference`` and ``ratio``
        (null where the base's is 0), ``ci95`` of the four, and ``prompts``. Groups without
        enough images are left out.
    """
    sides = [split_rows(part, split) for part in (base, other)]
    classes = {"prompt": [pd.Series("all", index=faces.index) for faces, _ in sides]}
    for group in measured_groups(space.names):
        classes[group_name(group)] = [_cells(faces, group) for faces, _ in sides]
    result: dict[str, Any] = {}
    for name, labels in classes.items():
        tables = [
            _distances(faces, vectors, label)
            for (faces, vectors), label in zip(sides, labels, strict=True)
        ]
        both = pd.concat(tables, axis=1, join="inner", keys=["a", "b"]).droplevel(1, axis=1)
        if both.empty:
            continue
        chosen = {name: both.groupby(level="prompt_id").mean()}
        if name in space.names:
            for cell in space[name].classes:
                if (both.index.get_level_values("cell") == cell).any():
                    chosen[f"{name}={cell}"] = both[both.index.get_level_values("cell") == cell]
        result |= {key: _paired(key, part, bootstrap, model) for key, part in chosen.items()}
    return result


def _paired(name: str, both: pd.DataFrame, bootstrap: Bootstrap, model: str) -> dict[str, Any]:
    found = paired_means(
        both["a"].to_numpy(),
        both["b"].to_numpy(),
        rng=bootstrap.rng("diversity", name),
        resamples=bootstrap.resamples,
    )
    parts = {
        "base": found.before,
        model: found.after,
        "difference": found.difference,
        "ratio": found.ratio,
    }
    return {**with_intervals(parts), "prompts": found.prompts}


def split_rows(part: Assessment, split: str) -> tuple[pd.DataFrame, Float[np.ndarray, "n e"]]:
    """Rows and DINO embeddings of a split, ordered by prompt and index."""
    rows = part.faces[part.faces["split"] == split].sort_values(["prompt_id", "index"])
    return rows, part.image_self[rows.index.to_numpy()]


def _cells(faces: pd.DataFrame, group: tuple[str, ...]) -> pd.Series:
    """Cell of each face; null without one."""
    there = faces["present"].to_numpy(dtype=bool)
    names = ["/".join(map(str, row)) for row in faces[list(group)].to_numpy()]
    return pd.Series(names, index=faces.index, dtype="object").where(there, None)


def _distances(
    faces: pd.DataFrame, vectors: Float[np.ndarray, "n e"], cells: pd.Series
) -> pd.DataFrame:
    """Mean pairwise distance of each prompt and cell with enough images."""
    rows = pd.DataFrame(
        {"prompt_id": faces["prompt_id"].to_numpy(), "cell": cells.to_numpy(dtype="object")}
    )
    found = {
        key: mean_pairwise_distance(vectors[part.index.to_numpy()])
        for key, part in rows.dropna().groupby(["prompt_id", "cell"])
        if len(part) >= LEAST_IMAGES
    }
    index = pd.MultiIndex.from_tuples(list(found), names=["prompt_id", "cell"])
    return pd.DataFrame({"distance": list(found.values())}, index=index, dtype=float)
