"""What finetuning minimises: distribution, semantics and realism."""

from __future__ import annotations

from fairness_core.losses.combine import LossParts, total
from fairness_core.losses.distribution import alignment_loss, alignment_terms, count_faces
from fairness_core.losses.realism import face_realism, own_faces
from fairness_core.losses.semantics import semantic_loss
from fairness_core.losses.weights import (
    dynamic_weights,
    image_weights,
    region_factors,
    region_scale,
    scale_gradient,
)

__all__ = [
    "LossParts",
    "alignment_loss",
    "alignment_terms",
    "count_faces",
    "dynamic_weights",
    "face_realism",
    "image_weights",
    "own_faces",
    "region_factors",
    "region_scale",
    "scale_gradient",
    "semantic_loss",
    "total",
]
