"""Prompts: templates, the catalog's checks, and splits that keep held-out subjects held out."""

from fairness_core.prompts.catalog import (
    FAMILIES,
    SPLITS,
    check_catalog,
    named_column,
    planted_column,
    planted_shares,
    read_catalog,
    select,
)
from fairness_core.prompts.listed import check_list, read_list
from fairness_core.prompts.splits import assign_splits, check_leakage, shared_words
from fairness_core.prompts.templates import FACE_OF_A, fill

__all__ = [
    "FACE_OF_A",
    "FAMILIES",
    "SPLITS",
    "assign_splits",
    "check_catalog",
    "check_leakage",
    "check_list",
    "fill",
    "named_column",
    "planted_column",
    "planted_shares",
    "read_catalog",
    "read_list",
    "select",
    "shared_words",
]
