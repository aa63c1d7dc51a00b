"""Held-out subjects stay held out."""

import pandas as pd
import pytest

from fairness_core.errors import PromptError
from fairness_core.prompts import assign_splits, check_leakage, shared_words


def rows(*entries):
    return pd.DataFrame(entries, columns=["prompt", "split", "subject"])


def test_new_combinations_of_known_words_are_no_leak():
    table = rows(
        ("a harbour engineer", "train", "harbour engineer"),
        ("a school nurse", "train", "school nurse"),
        ("a harbour nurse", "test", "harbour nurse"),
        ("a forest guard", "validation", "forest guard"),
    )
    check_leakage(table)
    assert shared_words(table) == 1.0
    assert shared_words(table, "validation") == 0.0
    assert pd.isna(shared_words(table, "named"))


@pytest.mark.parametrize(
    "training", ["a Harbour  Nurse at work", "photo: harbour-nurse.", "harbour nurse"]
)
def test_a_held_out_subject_in_a_training_prompt_is_refused(training):
    with pytest.raises(PromptError, match=r"'harbour nurse' in '"):
        check_leakage(
            rows((training, "train", "someone"), ("a harbour nurse", "test", "harbour nurse"))
        )


def test_words_are_compared_whole():
    check_leakage(
        rows(("a nursery worker", "train", "nursery worker"), ("a nurse", "test", "nurse"))
    )


def test_other_splits_may_repeat_a_subject():
    check_leakage(
        rows(("an old harbour nurse", "named", "harbour nurse"), ("b", "test", "harbour nurse"))
    )


def test_a_subject_in_both_held_out_splits_is_refused():
    with pytest.raises(PromptError, match="both validation and test"):
        check_leakage(rows(("a", "test", "nurse"), ("b", "validation", "Nurse")))


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
