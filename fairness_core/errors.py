"""Errors a user can act on: what happened, what was given, what to do."""

from __future__ import annotations

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
]


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
