"""Splits: which subjects train, which are held out, and proof that none is in both."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import pandas as pd

from fairness_core.errors import PromptError

__all__ = ["assign_splits", "check_leakage", "shared_words"]

HELD_OUT = ("validation", "test")
TRAINING = ("train",)


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def assign_splits(
    subjects: Sequence[str], *, validation: int, test: int, seed: int = 0
) -> dict[str, str]:
    """Split subjects by the order of their hashes: stable however the list is sorted.

    Adding a subject moves at most one other into or out of each split.

    Args:
        subjects: Different subjects (compared without case and punctuation).
        validation: Subjects for validation, >= 0.
        test: Subjects held out for the test, >= 1.
        seed: Any integer; another seed is another split.

    Returns:
        Subject to ``train``, ``validation`` or ``test``.

    Raises:
        PromptError: Repeated subjects, or none left to train on.
    """
    keys = [" ".join(_words(subject)) for subject in subjects]
    if len(set(keys)) != len(keys):
        repeated = sorted({subjects[i] for i, key in enumerate(keys) if keys.count(key) > 1})
        raise PromptError("Subjects are repeated", given=repeated, do="list each once")
    if validation < 0 or test < 1 or validation + test >= len(subjects):
        raise PromptError(
            "The split leaves no subject to train on, or none to test",
            given=f"{len(subjects)} subjects, {validation} for validation, {test} for test",
            do="hold out fewer, at least one for the test",
        )
    ranked = sorted(
        range(len(subjects)),
        key=lambda i: hashlib.blake2b(f"{seed}\0{keys[i]}".encode(), digest_size=16).digest(),
    )
    names = ["test"] * test + ["validation"] * validation
    names += ["train"] * (len(subjects) - len(names))
    split = {subjects[i]: name for i, name in zip(ranked, names, strict=True)}
    return {subject: split[subject] for subject in subjects}


def check_leakage(catalog: pd.DataFrame) -> None:
    """Refuse a catalog in which a held-out subject can be learned from a training prompt.

    A held-out subject leaks when its words stand, in order and together, in the text of a
    prompt of split ``train`` ("nurse" leaks through "a nurse at night" and "a photo of a
    Nurse.", not through "nursery worker"). Single words that recur are allowed and counted by
    `shared_words`: a held-out subject may be new without being meaningless.

    Args:
        catalog: Checked catalog; only splits train, validation and test matter.

    Raises:
        PromptError: Names the held-out subjects and one training prompt each, and subjects
            that are in both validation and test.
    """
    training = [
        (prompt, f" {' '.join(_words(prompt))} ")
        for prompt in catalog.loc[catalog["split"].isin(TRAINING), "prompt"]
    ]
    held = catalog[catalog["split"].isin(HELD_OUT)]
    found = []
    for subject in held["subject"].unique():
        key = " ".join(_words(subject))
        hit = next((prompt for prompt, words in training if key and f" {key} " in words), None)
        if hit is not None:
            found.append(f"'{subject}' in '{hit}'")
    keys = held["subject"].map(lambda subject: " ".join(_words(subject)))
    per_subject = held.groupby(keys)["split"].nunique()
    both = sorted(str(key) for key, count in per_subject.items() if count > 1 and key)
    if found:
        raise PromptError(
            "Held-out subjects appear in training prompts",
            given="; ".join(found[:5]) + (f"; {len(found) - 5} more" if len(found) > 5 else ""),
            do="move these subjects to split 'train', or remove the training prompts",
        )
    if both:
        raise PromptError(
            "Subjects are in both validation and test", given=both, do="keep each in one split"
        )


def shared_words(catalog: pd.DataFrame, split: str = "test") -> float:
    """Share of the words of a split's subjects that also occur in a training subject, in [0, 1].

    1.0: every held-out subject is a new combination of known words; 0.0: all words are new.
    NaN when the split has no subject.
    """
    known = {
        word
        for subject in catalog.loc[catalog["split"].isin(TRAINING), "subject"]
        for word in _words(subject)
    }
    words = [
        word
        for subject in catalog.loc[catalog["split"] == split, "subject"]
        for word in _words(subject)
    ]
    return sum(word in known for word in words) / len(words) if words else float("nan")
