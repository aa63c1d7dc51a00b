"""Errors a user can act on: what happened, what was given, what to do."""

from __future__ import annotations

import errno
import os
import re

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "EvenhandError",
    "FaceError",
    "GateError",
    "ModelError",
    "PromptError",
    "TargetError",
    "told",
]

# What no program can know before: these come without a path where a file is open already.
FULL = (errno.ENOSPC, errno.EDQUOT)
# Files are written under another name first.
TEMPORARY = re.compile(r"(?:^|(?<=/))\.([^/]+)\.[0-9a-f]{8}\.tmp(?=/|$)")


class EvenhandError(Exception):
    """Base of every error raised on purpose.

    Args:
        what: What happened, one sentence without a full stop.
        given: The offending value or place; omitted from the message when None.
        do: What the reader can do about it.
    """

    status = 1  # of the process that it ends

    def __init__(self, what: str, *, given: object = None, do: str = "") -> None:
        self.what, self.given, self.do = what, given, do
        parts = [what + "."]
        if given is not None:
            parts.append(f"Given: {given}.")
        if do:
            parts.append(f"What to do: {do}.")
        super().__init__(" ".join(parts))


class ConfigError(EvenhandError):
    """A parameter file or value that cannot be used."""


class TargetError(EvenhandError):
    """A target distribution that is not one."""


class PromptError(EvenhandError):
    """Prompts that are missing, empty or contradictory."""


class ModelError(EvenhandError):
    """A model folder that is missing, damaged or of the wrong kind."""


class ArtifactError(EvenhandError):
    """A step's input or output that is missing, damaged or of another version."""


class DataError(EvenhandError):
    """A labelled data set that is missing, damaged or labelled otherwise than it should be."""


class FaceError(EvenhandError):
    """Images in which no face could be measured."""


class GateError(EvenhandError):
    """A release that its policy does not allow."""

    status = 3  # neither a failure of the program (1) nor of its command line (2)


def told(error: EvenhandError | OSError) -> EvenhandError:
    """An error to show without a traceback: one raised on purpose, or what a file system says.

    Args:
        error: An ``OSError`` counts if it names a file, or says that there is no room.

    Raises:
        OSError: It is about nothing that somebody who reads its text could mend.
    """
    if isinstance(error, EvenhandError):
        return error
    if error.filename is None and error.errno not in FULL:
        raise error
    name = None if error.filename is None else TEMPORARY.sub(r"\1", os.fsdecode(error.filename))
    return EvenhandError(
        f"A file or folder cannot be read or written: {error.strerror or error}",
        given=name,
        do="check that it is there, what kind it is, who may write to it, and the room on its disk",
    )
