"""Prompts without people: what a model aligned for people did to everything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from fairness_core.evaluation.bootstrap import Bootstrap, with_intervals
from fairness_core.evaluation.groups import QUALITY
from fairness_core.evaluation.measurements import Assessment, quality_table
from fairness_core.metrics import Interval, mean_interval, mean_pairwise_distance
from fairness_core.prompts import SCENES

__all__ = ["scene_figures"]


def scene_figures(
    base: Assessment, other: Assessment, bootstrap: Bootstrap, *, model: str = "aligned"
) -> dict[str, Any]:
    """Prompts without people: they have nothing to do with the targets and should stay as they are.

    Args:
        base: The base model's measurements.
        other: The other model's, of the same noise.
        bootstrap: Intervals over prompts and images.
        model: The other model's name in the result.

    Returns:
        ``base`` and the model by name: ``clip_t``, ``clip_i`` and ``dino`` (cosine to the base's
        image of the same noise), ``face_rate`` (share of images in which the detector finds a
        face) and ``ci95``. ``change``: ``difference`` and ``difference_ci95`` of ``clip_t`` and
        ``face_rate``. ``other_noise``: what two images of the base of one prompt and different
        noise score on average, ``clip_i`` and ``dino``: a model at that level has kept the
        prompt's subject, not the image. ``n_prompts``, ``images_per_prompt``. Empty without such
        images.
    """
    chosen = (base.faces["split"] == SCENES).to_numpy()
    if not chosen.any():
        return {}
    tables = {
        "base": quality_table(base, base).assign(face=base.faces["present"].astype(float)),
        model: quality_table(other, base).assign(face=other.faces["present"].astype(float)),
    }
    tables = {name: table[table["split"] == SCENES] for name, table in tables.items()}
    result: dict[str, Any] = {}
    for name, table in tables.items():
        found: dict[str, Interval | None] = {
            column if column != "face" else "face_rate": mean_interval(
                table[column],
                table["prompt_id"],
                rng=bootstrap.rng("scenes", name, column),
                resamples=bootstrap.resamples,
            )
            for column in (*QUALITY, "face")
        }
        result[name] = with_intervals(found)
    keys = ["prompt_id", "index"]
    both = tables["base"].merge(tables[model], on=keys, suffixes=("_a", "_b"))
    result["change"] = {}
    for name, column in (("clip_t", "clip_t"), ("face_rate", "face")):
        change = mean_interval(
            both[f"{column}_b"] - both[f"{column}_a"],
            both["prompt_id"],
            rng=bootstrap.rng("scenes", "change", name),
            resamples=bootstrap.resamples,
        )
        result["change"][name] = {
            "difference": change.estimate,
            "difference_ci95": list(change.ci),
        }
    per = both.groupby("prompt_id").size()
    result["other_noise"] = _other_noise(base, chosen)
    result["n_prompts"] = len(per)
    result["images_per_prompt"] = float(per.mean()) if per.nunique() > 1 else int(per.iloc[0])
    return result


def _other_noise(base: Assessment, chosen: Bool[np.ndarray, " n"]) -> dict[str, float | None]:
    names = base.faces.loc[chosen, "prompt_id"].to_numpy()
    found: dict[str, float | None] = {}
    for figure, vectors in (("clip_i", base.image_text), ("dino", base.image_self)):
        cosines = [1 - mean_pairwise_distance(part) for part in _by(vectors[chosen], names)]
        found[figure] = float(np.mean(cosines)) if cosines else None
    return found


def _by(vectors: Float[np.ndarray, "n d"], names: np.ndarray) -> Iterator[Float[np.ndarray, "m d"]]:
    """The rows of each name that has two or more."""
    for name in dict.fromkeys(names):
        rows = vectors[names == name]
        if len(rows) > 1:
            yield rows
