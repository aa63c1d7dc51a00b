"""Values fit to be logged: flat names, plain text, no secrets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["digest", "flatten", "without_secrets"]

HIDDEN = "[hidden]"
LONGEST = 6000  # characters of a parameter that MLflow keeps

_SECRET_NAME = re.compile(
    r"(^|[^a-z])(password|passwd|pwd|secret|token|credentials?|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|authorization|auth)($|[^a-z])"
)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET_QUERY = re.compile(
    r"(?<=[?&])((?:[^=&\s]*(?:token|key|secret|signature|sig))=)[^&\s]+", re.I
)


def without_secrets(text: str) -> str:
    """Text with the user parts and the keys of the URLs in it hidden."""
    return _SECRET_QUERY.sub(rf"\g<1>{HIDDEN}", _USER_INFO.sub(HIDDEN, text))


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested values as text by dotted name; those whose name says that they are secret are hidden.

    Lists stay one value: ``{"a": {"steps": [9, 11]}}`` becomes ``{"a.steps": "[9, 11]"}``.
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if _SECRET_NAME.search(str(key).lower()):
            flat[name] = HIDDEN
        elif isinstance(value, Mapping):
            flat |= flatten(value, f"{name}.")
        else:
            flat[name] = _text(value)
    return flat


def _text(value: Any) -> str:
    listed = isinstance(value, Sequence) and not isinstance(value, str)
    text = json.dumps(list(value), default=str) if listed else str(value)
    text = without_secrets(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def digest(values: Mapping[str, Any]) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the values, whatever their order."""
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
