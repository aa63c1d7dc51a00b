"""Splits: which subjects train and which are held out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from fairness_core.errors import PromptError

__all__ = ["assign_splits"]


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
