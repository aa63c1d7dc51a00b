"""Prompts that name an attribute: do they still give it?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.metrics import mean_interval, percentiles, wilson
from fairness_core.prompts import named_column

__all__ = ["named_hits", "named_prompts"]

LEVEL = 0.95


def named_hits(faces: pd.DataFrame, prompts: pd.DataFrame, space: AttributeSpace) -> pd.DataFrame:
    """One row per image and attribute that its prompt names.

    Args:
        faces: Faces table; images of prompts that name nothing are left out.
        prompts: The checked catalog.
        space: The attributes.

    Returns:
        image_id, prompt_id, index, model, attribute, named (class), present, hit (a face is
        present and its class is the one named).
    """
    parts = []
    for attribute in space.names:
        named = prompts.set_index("prompt_id")[named_column(attribute)].dropna()
        rows = faces[faces["prompt_id"].isin(named.index)]
        part = rows[["image_id", "prompt_id", "index", "model", "present"]].copy()
        part["attribute"] = attribute
        part["named"] = rows["prompt_id"].map(named)
        part["hit"] = rows["present"].astype(bool) & (rows[attribute] == part["named"])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def named_prompts(
    faces: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
    *,
    models: tuple[str, str] = ("base", "aligned"),
) -> dict[str, Any]:
    """Rates at which attribute-naming prompts give what they name, for both models.

    An image without a face counts as a miss in the rates and not at all in ``audit_accuracy``,
    which takes the named class as the image's label: what it falls short of 1 is the audit
    classifier's error and the generator's together.

    Args:
        faces: Faces tables of both models.
        prompts: The checked catalog.
        space: The attributes.
        bootstrap: Intervals over prompts and images.
        models: The reference and the model compared with it; further models are not looked at.

    Returns:
        ``base`` and ``aligned``, or as ``models`` names them: rate at which an image shows every
        attribute that its prompt names, mean over prompts. ``ratio``: aligned / base, null where
        the base never gives what is named. ``ci95`` of the three. ``per_attribute``: the same for
        each attribute, with ``images``. ``audit_accuracy``: per model and attribute ``accuracy``,
        ``ci95``, ``faces``. ``prompts``: their number. Empty without such images.
    """
    hits = named_hits(faces[faces["model"].isin(models)], prompts, space)
    if hits.empty:
        return {}
    images = hits.groupby(["model", "prompt_id", "index"])["hit"].all().reset_index()
    return {
        **_rates(images, bootstrap, "all", models),
        "prompts": int(images["prompt_id"].nunique()),
        "per_attribute": {
            str(name): {**_rates(rows, bootstrap, str(name), models), "images": _per_model(rows)}
            for name, rows in hits.groupby("attribute", sort=False)
        },
        "audit_accuracy": {
            str(model): {
                str(name): _accuracy(part[part["present"].astype(bool)])
                for name, part in rows.groupby("attribute", sort=False)
            }
            for model, rows in hits.groupby("model", sort=False)
        },
    }


def _per_model(rows: pd.DataFrame) -> int:
    return int((rows["model"] == rows["model"].iloc[0]).sum())


def _rates(
    rows: pd.DataFrame, bootstrap: Bootstrap, name: str, models: tuple[str, str]
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    intervals: dict[str, list[float] | None] = {}
    for model, part in rows.groupby("model", sort=False):
        found = mean_interval(
            part["hit"].astype(float),
            part["prompt_id"],
            rng=bootstrap.rng("named", str(model), name),
            resamples=bootstrap.resamples,
        )
        result[str(model)], intervals[str(model)] = found.estimate, list(found.ci)
    result["ratio"], intervals["ratio"] = _ratio(rows, bootstrap, name, models)
    return {**result, "ci95": intervals}


def _accuracy(rows: pd.DataFrame) -> dict[str, Any]:
    if rows.empty:
        return {"accuracy": None, "ci95": None, "faces": 0}
    low, high = wilson(int(rows["hit"].sum()), len(rows), level=LEVEL)
    return {
        "accuracy": float(rows["hit"].mean()),
        "ci95": [float(low), float(high)],
        "faces": len(rows),
    }


def _ratio(
    rows: pd.DataFrame, bootstrap: Bootstrap, name: str, models: tuple[str, str]
) -> tuple[float | None, list[float] | None]:
    """Rate of aligned over rate of base, prompts resampled for both at once."""
    table = rows.pivot_table(
        index=["prompt_id", "index"], columns="model", values="hit", aggfunc="mean"
    )
    if not set(models) <= set(table.columns):
        return None, None
    table = table.dropna().astype(float)
    blocks = [part[list(models)].to_numpy() for _, part in table.groupby("prompt_id")]
    if not blocks or (base := float(np.mean([block[:, 0].mean() for block in blocks]))) == 0:
        return None, None
    aligned = float(np.mean([block[:, 1].mean() for block in blocks]))
    drawn = _resampled_rates(blocks, bootstrap.rng("named", "ratio", name), bootstrap.resamples)
    drawn = drawn[drawn[:, 0] > 0]
    found = percentiles(aligned / base, drawn[:, 1] / drawn[:, 0], LEVEL)
    return found.estimate, list(found.ci)


def _resampled_rates(
    blocks: list[Float[np.ndarray, "_ 2"]], rng: np.random.Generator, resamples: int
) -> Float[np.ndarray, "b 2"]:
    """Mean rates of resampled prompts, each with its images drawn anew, in pairs of one noise."""
    rates = np.empty((resamples, 2))
    for b in range(resamples):
        chosen = rng.integers(len(blocks), size=len(blocks))
        means = [
            blocks[i][rng.integers(len(blocks[i]), size=len(blocks[i]))].mean(0) for i in chosen
        ]
        rates[b] = np.mean(means, axis=0)
    return rates
