"""Messages say what happened, what was given and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

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


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"EvenhandError", "told"}))
def test_one_except_catches_every_error(name: str):
    with pytest.raises(errors.EvenhandError, match="It broke"):
        raise getattr(errors, name)("It broke")


def test_what_a_file_system_says_is_told_with_the_path(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as caught:
        (tmp_path / "file" / "x").mkdir()
    said = str(errors.told(caught.value))
    assert "cannot be read or written: Not a directory. Given: " in said
    assert str(tmp_path / "file" / "x") in said
    full = OSError(errno.ENOSPC, "No space left on device")
    assert "No space left on device. What to do" in str(errors.told(full))


def test_a_temporary_name_is_told_as_the_one_that_was_meant():
    place = Path("/a/.audit.0123abcd.tmp/faces.parquet")
    error = PermissionError(errno.EACCES, "Permission denied", str(place))
    assert "Given: /a/audit/faces.parquet." in str(errors.told(error))


@pytest.mark.parametrize("error", [OSError("odd"), ConnectionResetError(errno.ECONNRESET, "reset")])
def test_errors_of_other_kinds_keep_their_traceback(error):
    with pytest.raises(OSError, match=r"odd|reset"):
        errors.told(error)
