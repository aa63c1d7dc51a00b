"""Held-out subjects stay held out."""

import pandas as pd
import pytest

from fairness_core.errors import PromptError
from fairness_core.prompts import check_leakage, shared_words


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
    with pytest.raises(PromptError, match=r"'harbour nurse' .test. in '"):
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
    with pytest.raises(PromptError, match=r"'nurse' .test. and 'Nurse' .validation.: same"):
        check_leakage(rows(("a", "test", "nurse"), ("b", "validation", "Nurse")))


@pytest.mark.parametrize(
    ("training", "held", "rule"),
    [
        ("Nurses, School", "school nurse", "same"),
        ("director of photography", "photography director", "same"),
        ("watches and watch makers", "watch and watch maker", "same"),
        ("housekeeper", "house keeper", "near"),
        ("colour designer", "color designer", "near"),
        ("accountants", "the accountant", "same"),
        ("policewomen", "policewoman", "near"),
    ],
)
def test_other_spellings_of_a_subject_are_found(training, held, rule):
    for split in ("test", "validation", "sports", "triggers"):
        with pytest.raises(PromptError, match=rf"'{held}' .{split}.*{rule}|and '{held}'.*{rule}"):
            check_leakage(rows(("x", "train", training), ("y", split, held)))


@pytest.mark.parametrize(
    ("training", "held"),
    [
        ("sailor", "tailor"),
        ("engineer", "harbour engineer"),
        ("nurse harbour guard", "guard nurse"),
    ],
)
def test_different_subjects_are_told_apart(training, held):
    check_leakage(rows((training, "train", training), (held, "test", held)))


def test_every_pair_is_counted_and_named():
    table = rows(
        *((f"a {n} guard", "train", f"{n} guard") for n in "abcd"),
        *((f"{n} guards", "test", f"{n} guards") for n in "abcd"),
    )
    with pytest.raises(PromptError, match="8 subjects of one split") as caught:
        check_leakage(table)
    assert all(f"'{n} guards'" in str(caught.value) for n in "abcd")
