"""Splits follow hashes."""

import pytest

from fairness_core.errors import PromptError
from fairness_core.prompts import assign_splits


def test_assignment_ignores_order_and_changes_with_the_seed():
    subjects = [f"role {i}" for i in range(30)]
    split = assign_splits(subjects, validation=4, test=6)
    assert list(split) == subjects
    assert sorted(split.values()).count("test") == 6
    assert sorted(split.values()).count("validation") == 4
    assert assign_splits(subjects[::-1], validation=4, test=6) == split
    assert assign_splits(subjects, validation=4, test=6, seed=1) != split


def test_one_more_subject_moves_at_most_one_test_subject():
    subjects = [f"role {i}" for i in range(30)]
    before = assign_splits(subjects, validation=4, test=6)
    after = assign_splits([*subjects, "new one"], validation=4, test=6)
    assert sum(before[s] == "test" and after[s] != "test" for s in subjects) <= 1


def test_impossible_assignments_are_refused():
    with pytest.raises(PromptError, match="repeated"):
        assign_splits(["nurse", "Nurse", "guard"], validation=0, test=1)
    with pytest.raises(PromptError, match="no subject to train on"):
        assign_splits(["nurse", "guard"], validation=1, test=1)
