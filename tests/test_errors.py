"""Messages say what happened, what was given and what to do."""

from __future__ import annotations

import pytest

from fairness_core import errors


def test_message_has_all_three_parts():
    error = errors.ConfigError("The rank is odd", given=3, do="use an even rank")
    assert str(error) == "The rank is odd. Given: 3. What to do: use an even rank."
    assert (error.what, error.given, error.do) == ("The rank is odd", 3, "use an even rank")


def test_parts_that_are_missing_leave_no_trace():
    assert str(errors.FaceError("There is no face")) == "There is no face."
    assert str(errors.FaceError("None here", do="look")) == "None here. What to do: look."


@pytest.mark.parametrize("given", [0, "", False, []])
def test_an_empty_value_is_still_shown(given: object):
    assert str(errors.PromptError("Bad", given=given)) == f"Bad. Given: {given}."


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"EvenhandError"}))
def test_one_except_catches_every_error(name: str):
    with pytest.raises(errors.EvenhandError, match="It broke"):
        raise getattr(errors, name)("It broke")
