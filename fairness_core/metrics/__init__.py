"""Parity gaps, what a fair sampler would score, and intervals."""

from __future__ import annotations

from fairness_core.metrics.change import Change, paired_change
from fairness_core.metrics.floor import fair_floor, prompt_floors
from fairness_core.metrics.intervals import Interval, bias_interval, percentiles, wilson
from fairness_core.metrics.parity import (
    FaceCounts,
    bias,
    count_faces,
    frequencies,
    group_name,
    parity_gaps,
    per_prompt,
    summary,
)
from fairness_core.metrics.quality import mean_interval

__all__ = [
    "Change",
    "FaceCounts",
    "Interval",
    "bias",
    "bias_interval",
    "count_faces",
    "fair_floor",
    "frequencies",
    "group_name",
    "mean_interval",
    "paired_change",
    "parity_gaps",
    "per_prompt",
    "percentiles",
    "prompt_floors",
    "summary",
    "wilson",
]
