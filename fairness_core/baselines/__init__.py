"""Training-free methods that alignment is compared with, in the same harness."""

from __future__ import annotations

from fairness_core.baselines.balance import (
    UCE_NOISE,
    Balance,
    Edited,
    balance,
    class_shares,
    class_targets,
)
from fairness_core.baselines.concepts import (
    class_words,
    concept_texts,
    end_states,
    last_states,
    neutral_occupations,
    pair_texts,
    require_text_unet,
)
from fairness_core.baselines.editing import (
    edit_matrix,
    edited_weights,
    load_edit,
    projections,
)
from fairness_core.baselines.intervention import broken_words, intervene
from fairness_core.baselines.projection import (
    calibrated_projection,
    orthogonal_projection,
    project_text,
)

__all__ = [
    "UCE_NOISE",
    "Balance",
    "Edited",
    "balance",
    "broken_words",
    "calibrated_projection",
    "class_shares",
    "class_targets",
    "class_words",
    "concept_texts",
    "edit_matrix",
    "edited_weights",
    "end_states",
    "intervene",
    "last_states",
    "load_edit",
    "neutral_occupations",
    "orthogonal_projection",
    "pair_texts",
    "project_text",
    "projections",
    "require_text_unet",
]
