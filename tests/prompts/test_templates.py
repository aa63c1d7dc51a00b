"""Prompt templates."""

import pytest

from fairness_core.errors import PromptError
from fairness_core.prompts import FACE_OF_A, fill


def test_paper_template_is_filled_in_order_with_blanks_tidied():
    assert fill(FACE_OF_A, ["senator", " fine \n artist "]) == [
        "a photo of the face of a senator, a person",
        "a photo of the face of a fine artist, a person",
    ]


@pytest.mark.parametrize(
    "template", ["a person", "{subject} and {subject}", "{subject} {place}", "{}", "a {subject"]
)
def test_template_needs_its_one_field(template):
    with pytest.raises(PromptError, match=r"subject|unbalanced"):
        fill(template, ["senator"])


def test_no_subject_and_blank_subject_are_refused():
    with pytest.raises(PromptError, match="no subject"):
        fill(FACE_OF_A, [])
    with pytest.raises(PromptError, match="number 2 of 2"):
        fill(FACE_OF_A, ["senator", "  "])


def test_literal_braces_survive():
    assert fill("{{x}} {subject}", ["senator"]) == ["{x} senator"]
