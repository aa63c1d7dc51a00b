"""Parity gaps, what a fair sampler would score, and intervals."""

from __future__ import annotations

from fairness_core.metrics.change import Change, paired_change
from fairness_core.metrics.correction import (
    Confusion,
    Corrected,
    corrected_bias,
    corrected_shares,
)
from fairness_core.metrics.diversity import PairedMeans, mean_pairwise_distance, paired_means
from fairness_core.metrics.floor import fair_floor, prompt_floors
from fairness_core.metrics.frechet import frechet_distance
from fairness_core.metrics.intervals import (
    Interval,
    bias_interval,
    percentiles,
    prompt_blocks,
    share_intervals,
    wilson,
)
from fairness_core.metrics.multiple import benjamini_hochberg, target_p_values
from fairness_core.metrics.pairs import paired_cells
from fairness_core.metrics.parity import (
    FaceCounts,
    bias,
    count_faces,
    frequencies,
    parity_gaps,
    per_prompt,
    summary,
)
from fairness_core.metrics.planner import AuditPlan, half_width, plan_images_per_prompt
from fairness_core.metrics.quality import mean_interval
from fairness_core.metrics.worst import worst_prompt

__all__ = [
    "AuditPlan",
    "Change",
    "Confusion",
    "Corrected",
    "FaceCounts",
    "Interval",
    "PairedMeans",
    "benjamini_hochberg",
    "bias",
    "bias_interval",
    "corrected_bias",
    "corrected_shares",
    "count_faces",
    "fair_floor",
    "frechet_distance",
    "frequencies",
    "half_width",
    "mean_interval",
    "mean_pairwise_distance",
    "paired_cells",
    "paired_change",
    "paired_means",
    "parity_gaps",
    "per_prompt",
    "percentiles",
    "plan_images_per_prompt",
    "prompt_blocks",
    "prompt_floors",
    "share_intervals",
    "summary",
    "target_p_values",
    "wilson",
    "worst_prompt",
]
