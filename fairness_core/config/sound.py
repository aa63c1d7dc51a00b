"""Reading values of which some may have a problem of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairness_core.config.source import Place

__all__ = ["Check", "Sound", "UnsoundError"]


class UnsoundError(LookupError):
    """A value that a check needs is missing or has a problem of its own."""


@dataclass(frozen=True)
class Sound:
    """Reads values by dotted path; those with a problem at, above or below them are unsound."""

    values: Mapping[str, Any]
    problems: tuple[Place, ...]

    def __call__(self, path: str) -> Any:
        """The value at that path.

        Raises:
            UnsoundError: It is missing or has a problem.
        """
        place: Place = tuple(path.split("."))
        for bad in self.problems:
            shared = min(len(bad), len(place))
            if bad[:shared] == place[:shared]:
                raise UnsoundError(path)
        value: Any = self.values
        for key in place:
            if not isinstance(value, dict) or key not in value:
                raise UnsoundError(path)
            value = value[key]
        return value

    def names(self) -> list[str]:
        """Names of the attributes, whether their entries are sound or not."""
        attributes = self.values.get("attributes")
        if not isinstance(attributes, dict):
            raise UnsoundError("attributes")
        return [str(name) for name in attributes]


Check = Callable[[Sound], Iterator[tuple[str, str]]]
