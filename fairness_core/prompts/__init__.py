"""Prompts: templates, the catalog's checks, and splits that keep held-out subjects held out."""

from fairness_core.prompts.catalog import (
    ALWAYS,
    FAMILIES,
    SCENES,
    SPLITS,
    check_catalog,
    named_column,
    planted_column,
    planted_shares,
    read_catalog,
    select,
    target_column,
)
from fairness_core.prompts.leakage import (
    check_leakage,
    shared_words,
    subject_key,
    subject_words,
)
from fairness_core.prompts.listed import check_list, read_list
from fairness_core.prompts.overrides import (
    apply_overrides,
    own_shares,
    own_targets,
    prompt_spaces,
    read_overrides,
)
from fairness_core.prompts.sets import SETS, PromptSet, photo_catalog, read_set
from fairness_core.prompts.templates import FACE_OF_A, fill

__all__ = [
    "ALWAYS",
    "FACE_OF_A",
    "FAMILIES",
    "SCENES",
    "SETS",
    "SPLITS",
    "PromptSet",
    "apply_overrides",
    "check_catalog",
    "check_leakage",
    "check_list",
    "fill",
    "named_column",
    "own_shares",
    "own_targets",
    "photo_catalog",
    "planted_column",
    "planted_shares",
    "prompt_spaces",
    "read_catalog",
    "read_list",
    "read_overrides",
    "read_set",
    "select",
    "shared_words",
    "subject_key",
    "subject_words",
    "target_column",
]
