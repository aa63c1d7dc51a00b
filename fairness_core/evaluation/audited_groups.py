"""What an audit says of one group of attributes beside its bias: shares, claims, correction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.labels import confusion_of
from fairness_core.metrics import (
    FaceCounts,
    Interval,
    benjamini_hochberg,
    corrected_bias,
    share_intervals,
    target_p_values,
    worst_prompt,
)

__all__ = ["AuditRules", "claims", "corrected_figures", "group_figures"]


@dataclass(frozen=True)
class AuditRules:
    """What the figures depend on beside the faces.

    Attributes:
        undecided_below: A face whose highest probability is below it counts as undecided, in
            (0, 1]; its likeliest class still counts in the shares.
        false_claims: Rate of false claims among the prompts said to differ from the target.
        labels_per_class: Labelled faces of each class that a correction needs.
    """

    undecided_below: float
    false_claims: float
    labels_per_class: int


def claims(
    measured: FaceCounts, target: Float[np.ndarray, "*p k"], bootstrap: Bootstrap
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """P values of the prompts, and Benjamini and Hochberg's values over the group's prompts."""
    values = target_p_values(
        measured.counts, target, rng=bootstrap.rng("audit", measured.group, "claims")
    )
    return values, benjamini_hochberg(values)


def group_figures(
    measured: FaceCounts,
    target: Float[np.ndarray, "*p k"],
    rules: AuditRules,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """``shares_ci95``, ``worst_prompt`` and ``claims`` of ``audit_figures``."""
    name, resamples = measured.group, bootstrap.resamples
    shares = share_intervals(
        measured.counts, rng=bootstrap.rng("audit", name, "shares"), resamples=resamples
    )
    row, worst = worst_prompt(
        measured.counts, rng=bootstrap.rng("audit", name, "worst"), resamples=resamples
    )
    _, adjusted = claims(measured, target, bootstrap)
    return {
        "shares_ci95": _ends(measured.cells, shares),
        "worst_prompt": {
            "prompt_id": measured.prompts[row],
            "bias": worst.estimate,
            "ci95": list(worst.ci),
        },
        "claims": int((adjusted <= rules.false_claims).sum()),
    }


def corrected_figures(
    faces: pd.DataFrame,
    labels: pd.DataFrame,
    space: AttributeSpace,
    group: Sequence[str],
    measured: FaceCounts,
    rules: AuditRules,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """``corrected`` of ``audit_figures``: what a faultless classifier would have measured."""
    confusion = confusion_of(faces, labels, space, group)
    table: dict[str, Any] = {"confusion": confusion.counts.tolist()}
    reason = confusion.problem(rules.labels_per_class)
    if reason is not None:
        return {"reason": reason, **table}
    found = corrected_bias(
        measured.counts,
        confusion,
        rng=bootstrap.rng("audit", measured.group, "corrected"),
        resamples=bootstrap.resamples,
    )
    return {
        "bias": found.bias.estimate,
        "ci95": list(found.bias.ci),
        "shares": {
            cell: share.estimate for cell, share in zip(measured.cells, found.shares, strict=True)
        },
        "shares_ci95": _ends(measured.cells, found.shares),
        **table,
    }


def _ends(cells: Sequence[str], intervals: Sequence[Interval]) -> dict[str, list[float]]:
    return {cell: list(one.ci) for cell, one in zip(cells, intervals, strict=True)}
