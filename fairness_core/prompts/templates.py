"""Prompt templates with one place for the subject."""

from __future__ import annotations

import string
from collections.abc import Iterable

from fairness_core.errors import PromptError

__all__ = ["FACE_OF_A", "fill"]

FACE_OF_A = "a photo of the face of a {subject}, a person"


def fill(template: str, subjects: Iterable[str]) -> list[str]:
    """Write one prompt per subject into the template (paper, section 5: occupations).

    Args:
        template: Text with ``{subject}`` exactly once and no other field, such as
            ``FACE_OF_A``, the paper's.
        subjects: What goes there, such as ``harbour engineer``; runs of blanks become one.

    Returns:
        The prompts, in the subjects' order.

    Raises:
        PromptError: A template without that field or with another, no subject at all, or a
            blank one.
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise PromptError(
            f"A prompt template has unbalanced braces ({error})",
            given=repr(template),
            do="write {subject} once and double any other brace",
        ) from error
    if fields != ["subject"]:
        raise PromptError(
            "A prompt template needs the field {subject} exactly once and no other field",
            given=repr(template),
            do=f"write for instance '{FACE_OF_A}'",
        )
    names = [" ".join(str(subject).split()) for subject in subjects]
    if not names:
        raise PromptError("There is no subject to write into the template", do="give at least one")
    if "" in names:
        raise PromptError(
            "A subject is blank",
            given=f"number {names.index('') + 1} of {len(names)}",
            do="remove it or write it out",
        )
    return [template.format(subject=name) for name in names]
