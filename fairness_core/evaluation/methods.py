"""Every model against the base: aligned first, then each baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.evaluation.bootstrap import Bootstrap
from fairness_core.evaluation.comparison import compare

__all__ = ["compare_all"]


def compare_all(
    faces: pd.DataFrame,
    quality: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    *,
    split: str,
    also: Sequence[str] = (),
    seconds: Mapping[str, float],
    bootstrap: Bootstrap,
    methods: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Compute ``metrics/evaluation.json``: `compare`, and a block for each baseline.

    Args:
        faces: Faces tables of all models, see ``assess``.
        quality: Quality tables of all models, see ``quality_table``.
        prompts: The checked catalog.
        space: The measured attributes with their targets.
        split: The held-out split that bias and quality are about.
        also: Further splits, each with figures of its own.
        seconds: Seconds that generating each model's images took.
        bootstrap: Intervals.
        methods: Each baseline with what it needed before sampling: seconds, network calls, and
            more. Without any the result is that of `compare`.

    Returns:
        As `compare`, and ``baselines``: by name the figures that a model has, ``change`` against
        the base, ``named`` (rate at which prompts that name attributes give them, its ``ci95``
        and its ``ratio`` to the base; empty without such prompts), ``also`` (its figures and
        ``change`` by further split) and ``preparation``.

    Raises:
        ArtifactError: See `compare`.
        FaceError: See `compare`.
    """

    def against_base(model: str) -> dict[str, Any]:
        return compare(
            faces,
            quality,
            prompts,
            space,
            split=split,
            also=also,
            seconds=seconds,
            bootstrap=bootstrap,
            models=("base", model),
        )

    result = against_base("aligned")
    if methods:
        result["baselines"] = {
            method: _block(against_base(method), method, preparation)
            for method, preparation in methods.items()
        }
    return result


def _block(found: Mapping[str, Any], method: str, preparation: Mapping[str, Any]) -> dict[str, Any]:
    named, kept = found["named"], {}
    if named:
        kept = {"value": named[method], "ci95": named["ci95"][method], "ratio": named["ratio"]}
    return {
        **found[method],
        "change": found["change"],
        "named": kept,
        "also": {
            split: {**part[method], "change": part["change"]}
            for split, part in found["also"].items()
        },
        "preparation": dict(preparation),
    }
