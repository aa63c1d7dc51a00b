"""Figures of further splits: other families of prompts, and the stress packs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairness_core.reporting.data import Finding
from fairness_core.reporting.summary import Estimate, gap_rows, interval_text, number, percent

__all__ = ["split_findings"]


def split_findings(evaluation: Mapping[str, Any]) -> list[Finding]:
    """One finding for each further split and bias: base, aligned, floor, share of it removed.

    Args:
        evaluation: Contents of ``metrics/evaluation.json``; ``also`` may be missing.
    """
    findings = []
    for split, part in (evaluation.get("also") or {}).items():
        for row in gap_rows(part):
            gone = row.reduction.value
            removed = "" if gone is None else f"; {percent(gone)} of the distance to it removed"
            findings.append(
                Finding(
                    name=f"{split}: {row.label} bias",
                    value=f"{_text(row.base)} base, {_text(row.aligned)} aligned",
                    meaning=f"Over {part['n_prompts']} prompts of split {split}. A sampler of the "
                    f"target would score {row.floor_text}{removed}.",
                )
            )
    return findings


def _text(item: Estimate) -> str:
    return number(item.value) + ("" if item.low is None else f" [{interval_text(item)}]")
