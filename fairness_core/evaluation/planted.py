"""Measured shares against the truth, where the world planted one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fairness_core.metrics import FaceCounts, mean_interval, parity_gaps

__all__ = ["planted_difference"]


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
