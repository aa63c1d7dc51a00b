"""Validation errors in words: what is needed, what was given, what YAML made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fairness_core.config.nearest import nearest, pair_names
from fairness_core.config.source import Place, Problem

__all__ = ["describe", "given"]

NEEDED = {
    "float_type": "a number is needed",
    "finite_number": "a finite number is needed",
    "int_type": "a whole number is needed",
    "string_type": "text is needed",
    "bool_type": "true or false is needed",
    "tuple_type": "a list is needed",
    "dict_type": "a mapping (key: value) is needed",
    "model_type": "a mapping (key: value) is needed",
    "model_attributes_type": "a mapping (key: value) is needed",
    "invalid_key": "keys are text",
    "greater_than": "must be > {gt:g}",
    "greater_than_equal": "must be >= {ge:g}",
    "less_than": "must be < {lt:g}",
    "less_than_equal": "must be <= {le:g}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "literal_error": "one of {expected} is needed",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
}
KINDS = {bool: "true/false", int: "a whole number", float: "a number", str: "text", list: "a list"}


def given(value: Any) -> str:
    """A value as YAML would have it, shortened, with its kind where that is not plain to see."""
    if isinstance(value, str | int | float | bool | None | list | tuple | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = str(value)
    if len(text) > 80:
        text = text[:77] + "..."
    return f"{text} ({KINDS[type(value)]})" if type(value) in KINDS else text


def _hint(kind: str, value: Any) -> str:
    """What to write instead, for the words and numbers that YAML 1.1 reads in its own way."""
    if kind in {"float_type", "int_type"} and isinstance(value, str):
        if re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
            mantissa, exponent = re.split("[eE]", value)
            sign = "" if exponent[0] in "-+" else "+"
            return f"; YAML reads it as text: write {mantissa}.0e{sign}{exponent}"
        if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
            return "; YAML reads it as text: write it without quotes, the exponent with a sign"
    if kind == "string_type" and isinstance(value, bool):
        return "; YAML reads yes, no, on and off as true and false: put the word in quotes"
    if kind == "string_type":
        return "; put it in quotes"
    if kind == "tuple_type" and isinstance(value, str):
        return f"; write [{value}]"
    return ""


def _message(error: ErrorDetails) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        needed = str(context["error"])
    else:
        needed = NEEDED[kind].format(**context) if kind in NEEDED else error["msg"]
    close = ""
    if kind == "literal_error" and isinstance(value, str):
        words = re.findall(r"'([^']+)'", str(context["expected"]))
        close = nearest(value, words) if len(words) > 1 else ""
        close = close if "did you mean" in close else ""
    return f"{needed}; given {given(value)}{_hint(kind, value)}{close}"


def _fields(model: type[BaseModel], place: Place) -> Mapping[str, FieldInfo]:
    """The fields that the section at that place may have."""
    fields = model.model_fields
    keys = iter(place)
    for key in keys:
        kind = fields[str(key)].annotation
        if get_origin(kind) is dict:
            next(keys, None)
            kind = get_args(kind)[1]
        # A section that may be null.
        kind = next((part for part in get_args(kind) if part is not type(None)), kind)
        assert isinstance(kind, type), "only sections have keys"
        fields = kind.model_fields
    return fields


def _key_problems(
    model: type[BaseModel], parent: Place, unknown: Sequence[str], missing: Sequence[str]
) -> list[Problem]:
    """Unknown and missing keys of one section; a misspelt key is one problem, not two."""
    fields = _fields(model, parent)
    pairs = pair_names(unknown, missing)
    problems = []
    for name in unknown:
        hint = f"; did you mean '{pairs[name]}'?" if name in pairs else nearest(name, fields)
        problems.append(Problem((*parent, name), f"unknown key{hint}"))
    for name in missing:
        if name not in pairs.values():
            about = fields[name].description
            problems.append(Problem((*parent, name), "missing" + (f" ({about})" if about else "")))
    return problems


def describe(model: type[BaseModel], errors: Sequence[ErrorDetails]) -> list[Problem]:
    """One problem for each thing that is wrong.

    Args:
        model: The model that was validated against.
        errors: ``ValidationError.errors()``.
    """
    keys: dict[Place, tuple[list[str], list[str]]] = {}
    problems = []
    places = [error["loc"] for error in errors]
    for error in errors:
        *parent, last = place = error["loc"]
        if error["type"] in {"extra_forbidden", "missing"} and isinstance(last, str):
            unknown, missing = keys.setdefault(tuple(parent), ([], []))
            (unknown if error["type"] == "extra_forbidden" else missing).append(last)
        elif error["type"] == "missing":
            problems.append(Problem(tuple(parent), "has too few entries"))
        elif last == "[key]":
            problems.append(Problem(tuple(parent), f"as a name: {_message(error)}"))
        elif error["type"] == "too_short" and any(
            other[: len(place)] == place and len(other) > len(place) for other in places
        ):
            # pydantic counts the sound entries only; the unsound ones are already reported.
            continue
        else:
            problems.append(Problem(place, _message(error)))
    for where, (unknown, missing) in keys.items():
        problems += _key_problems(model, where, unknown, missing)
    return problems
