"""Measured shares against the truth, where the world planted one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.metrics import (
    Confusion,
    FaceCounts,
    corrected_bias,
    corrected_shares,
    mean_interval,
    parity_gaps,
    percentiles,
    prompt_blocks,
)
from fairness_core.prompts import named_column

__all__ = ["named_confusion", "planted_agreement", "planted_difference"]

LEVEL = 0.95
CHANCE_DRAWS = 200


def planted_difference(
    counts: FaceCounts, truth: pd.DataFrame, *, rng: np.random.Generator, resamples: int
) -> dict[str, Any] | None:
    """Compare class shares with planted ones, prompt by prompt.

    Args:
        counts: Faces of one attribute.
        truth: Index prompt_id, one column per class, see ``planted_shares``.
        rng: Generator of the bootstrap over prompts.
        resamples: At least 1.

    Returns:
        ``mean_abs_difference`` (mean over prompts and classes of |share - planted|) with ``ci95``,
        ``bias`` (mean parity gap of the planted shares of the same prompts) and ``prompts``; None
        when no prompt has both a face and a planted truth.
    """
    n = counts.counts.sum(axis=1)
    rows = [i for i, name in enumerate(counts.prompts) if n[i] > 0 and name in truth.index]
    if not rows:
        return None
    names = [counts.prompts[i] for i in rows]
    planted = truth.loc[names, list(counts.cells)].to_numpy(dtype=float)
    shares = counts.counts[rows] / n[rows][:, None]
    found = mean_interval(
        np.abs(shares - planted).mean(axis=1), names, rng=rng, resamples=resamples
    )
    return {
        "mean_abs_difference": found.estimate,
        "ci95": list(found.ci),
        "bias": float(parity_gaps(planted).mean()),
        "prompts": len(rows),
    }


def named_confusion(
    faces: pd.DataFrame, prompts: pd.DataFrame, space: AttributeSpace, attribute: str
) -> Confusion:
    """What the classifier said of faces whose prompt names their class.

    The prompt is the label: what the generator did not draw as asked counts as the classifier's
    error too, so that a correction with this matrix goes a little too far rather than not at all.

    Args:
        faces: Faces table of one model.
        prompts: The checked catalog.
        space: Attributes and classes.
        attribute: One of them.
    """
    named = prompts.set_index("prompt_id")[named_column(attribute)].dropna()
    rows = faces[faces["present"].astype(bool) & faces["prompt_id"].isin(named.index)]
    classes = space[attribute].classes
    told = rows["prompt_id"].map(named)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    lines = [pd.Index(classes).get_indexer(pd.Index(column)) for column in (told, rows[attribute])]
    np.add.at(counts, tuple(lines), 1)
    return Confusion(counts, classes)


def planted_agreement(
    counts: FaceCounts,
    truth: pd.DataFrame,
    confusion: Confusion,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> dict[str, Any]:
    """Corrected shares less planted ones, the same prompts' own, with their interval.

    Each resample draws prompts, their faces (of which, prompts being drawn whole, 1/sqrt(p) of
    the deviation counts; see ``corrected_bias``) and a confusion matrix.

    Args:
        counts: Faces of one attribute; every prompt has a face and a planted truth.
        truth: Index prompt_id, one column per class, see ``planted_shares``.
        confusion: From `named_confusion`, or of labelled faces.
        rng: Generator of the draws.
        resamples: At least 1.

    Returns:
        ``classes``: per class ``planted``, ``raw`` and ``corrected`` mean share, ``difference``
        (corrected - planted) with ``ci95``, and ``agrees``: 0 is inside. ``bias``: ``planted``
        (expected on as many faces), ``raw``, ``corrected`` with ``ci95``.
        ``mean_abs_difference``: of raw and corrected shares to the planted ones over prompts and
        classes, and ``by_chance``, what faces drawn from the planted shares would score.
        ``confusion``: labelled by predicted. ``prompts``.

    Raises:
        ArtifactError: A prompt without a face or a planted truth, or other classes.
    """
    n = counts.counts.sum(axis=1)
    missing = [name for name in counts.prompts if name not in truth.index]
    if missing or (n == 0).any():
        raise ArtifactError(
            "Every prompt needs a face and a planted truth to be compared",
            given=f"{len(missing)} without a truth, {int((n == 0).sum())} without a face",
        )
    planted = truth.loc[list(counts.prompts), list(counts.cells)].to_numpy(dtype=float)
    raw = counts.counts / n[:, None]
    corrected = corrected_shares(raw, confusion.matrix)
    away = []
    for chosen in prompt_blocks(counts.counts, resamples, rng):
        again = rng.multinomial(n[chosen], raw[chosen]) / n[chosen][..., None]
        seen = raw[chosen] + (again - raw[chosen]) / np.sqrt(len(n))
        pi = corrected_shares(seen, confusion.draw(rng, len(chosen))[:, None])
        away.append((pi - planted[chosen]).mean(axis=1))
    drawn = np.concatenate(away)
    chance = rng.multinomial(n, planted, size=(CHANCE_DRAWS, len(n))) / n[:, None]
    found = corrected_bias(counts.counts, confusion, rng=rng, resamples=resamples)
    classes = {}
    for i, name in enumerate(counts.cells):
        apart = percentiles(float((corrected - planted).mean(0)[i]), drawn[:, i], LEVEL)
        classes[name] = {
            "planted": float(planted.mean(0)[i]),
            "raw": float(raw.mean(0)[i]),
            "corrected": float(corrected.mean(0)[i]),
            "difference": apart.estimate,
            "ci95": list(apart.ci),
            "agrees": apart.low <= 0 <= apart.high,
        }
    return {
        "classes": classes,
        "bias": {
            "planted": float(parity_gaps(chance).mean()),
            "raw": float(parity_gaps(raw).mean()),
            "corrected": found.bias.estimate,
            "ci95": list(found.bias.ci),
        },
        "mean_abs_difference": {
            "raw": float(np.abs(raw - planted).mean()),
            "corrected": float(np.abs(corrected - planted).mean()),
            "by_chance": float(np.abs(chance - planted).mean()),
        },
        "confusion": confusion.counts.tolist(),
        "prompts": len(n),
    }
