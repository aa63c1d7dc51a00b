"""The parity figures of one model: what a comparison and an audit have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.groups import wanted_shares
from fairness_core.groups import measured_groups
from fairness_core.metrics import FaceCounts, bias_interval, fair_floor, per_prompt, summary
from fairness_core.runtime.logs import get_logger

__all__ = ["faceless", "parity_figures"]


def parity_figures(
    faces: pd.DataFrame,
    counts: Sequence[FaceCounts],
    space: AttributeSpace,
    bootstrap: Bootstrap,
    *names: str,
    prompts: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Bias, interval, spread, floor and shares of every group that ``measured_groups`` lists.

    Args:
        faces: Faces table of one model, see ``assess``.
        counts: Its counts, one entry for each group.
        space: The measured attributes with their targets.
        bootstrap: Intervals.
        names: Enter the intervals' generators: which model this is.
        prompts: Catalog, whose prompts may have targets of their own; all share the space's
            without it.

    Returns:
        Group to ``bias`` (mean over prompts), ``ci95``, ``sd`` (population, over prompts),
        ``fair_floor`` and ``shares`` (mean over prompts).

    Raises:
        FaceError: No image shows a face.
    """
    groups = measured_groups(space.names)
    spread = summary(per_prompt(faces, space, groups)).set_index("attribute")["sd"]
    result: dict[str, Any] = {}
    for group, measured in zip(groups, counts, strict=True):
        n = measured.counts.sum(axis=1)
        found = bias_interval(
            measured.counts,
            rng=bootstrap.rng(*names, measured.group),
            resamples=bootstrap.resamples,
        )
        shares = measured.counts[n > 0] / n[n > 0][:, None]
        result[measured.group] = {
            "bias": found.estimate,
            "ci95": list(found.ci),
            "sd": float(spread[measured.group]),
            "fair_floor": fair_floor(n, wanted_shares(measured, prompts, space, group)),
            "shares": dict(zip(measured.cells, shares.mean(axis=0).tolist(), strict=True)),
        }
    return result


def faceless(counts: FaceCounts, model: str) -> list[str]:
    """Prompts none of whose images shows a face; they are logged."""
    found = [
        name for name, n in zip(counts.prompts, counts.counts.sum(axis=1), strict=True) if n == 0
    ]
    if found:
        get_logger("evaluation").warning(
            "No image of %s of %s prompts shows a face (%s model); left out of the bias: %s",
            len(found),
            len(counts.prompts),
            model,
            ", ".join(found[:10]),
        )
    return found
