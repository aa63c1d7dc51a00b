"""From classifier probabilities to the class that each image should become."""

from __future__ import annotations

from fairness_core.alignment.assignment import cell_costs, count_compositions
from fairness_core.alignment.targets import held_targets, make_targets, take_rows
from fairness_core.alignment.transport import (
    binary_targets,
    enumerated_targets,
    expected_targets,
    sampled_targets,
)

__all__ = [
    "binary_targets",
    "cell_costs",
    "count_compositions",
    "enumerated_targets",
    "expected_targets",
    "held_targets",
    "make_targets",
    "sampled_targets",
    "take_rows",
]
