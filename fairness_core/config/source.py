"""Parameter files as plain values: safe YAML, where each key stands, keys given twice."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError

__all__ = ["Place", "Problem", "Source", "merge", "parse", "read"]

Place = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """Also reads 5e-05 as a number: so DVC writes it, after the YAML of today."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+e[-+]\d{2,}$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Problem:
    """One thing wrong, at a place such as ``("finetune", "rank")``."""

    place: Place
    message: str


@dataclass
class Source:
    """What was given: the merged values, the line of each key of the file, what YAML let pass."""

    name: str
    values: dict[Any, Any]
    lines: dict[Place, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read(path: Path | str, overrides: Iterable[str | Mapping[str, Any]] = ()) -> Source:
    """Read a parameter file and lay the overrides over it, in order.

    Args:
        path: YAML file whose top level is a mapping.
        overrides: ``"section.key=value"`` with a YAML value, or mappings merged key by key, such as
            the content of a preset.

    Raises:
        ConfigError: No such file, not YAML, no mapping, or an override of another form.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"Cannot read the parameter file: {error}",
            given=path,
            do="name one by --params, or work in a checkout's folder, which has params.yaml",
        ) from error
    loader = _Loader(text)
    try:
        tree = loader.get_single_node()
        values = {} if tree is None else loader.construct_document(tree)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"A parameter file is not YAML: {' '.join(str(error).split())}",
            given=path,
            do="correct it at the line named",
        ) from error
    if not isinstance(values, dict):
        raise ConfigError(
            "A parameter file's top level is a mapping", given=path, do="write 'section:' lines"
        )
    source = Source(path.name, values)
    if tree is not None:
        _walk(tree, (), source, set())
    for override in overrides:
        over = parse(override) if isinstance(override, str) else override
        for here in merge(source.values, over):
            # The file's line no longer says where the value comes from.
            source.lines = {at: n for at, n in source.lines.items() if at[: len(here)] != here}
    return source


def _walk(node: yaml.Node, place: Place, source: Source, seen: set[int]) -> None:
    """Note every key's line, and keys given twice: YAML would keep the last and say nothing."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _walk(item, (*place, index), source, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in first:
            source.problems.append(
                Problem((*place, name), f"given twice, in lines {first[name]} and {line}")
            )
        first.setdefault(name, line)
        source.lines.setdefault((*place, name), line)
        _walk(value, (*place, name), source, seen)


def parse(override: str) -> dict[str, Any]:
    """``section.key=value`` as a nested mapping, the value read as YAML.

    Raises:
        ConfigError: Another form, or a value that is not YAML.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(
            "An override has the form section.key=value",
            given=override,
            do="write for example finetune.iterations=50",
        )
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(
            "An override's value is not YAML",
            given=override,
            do="close brackets and quotes, and keep the shell from taking them",
        ) from error
    for key in reversed(keys):
        value = {key: value}
    nested: dict[str, Any] = value
    return nested


def merge(values: dict[Any, Any], over: Mapping[str, Any]) -> list[Place]:
    """Lay a mapping over another, key by key, in place; return the places that were set."""
    places: list[Place] = []
    for key, value in over.items():
        if isinstance(value, Mapping) and isinstance(values.get(key), dict):
            places += [(key, *place) for place in merge(values[key], value)]
        else:
            values[key] = copy.deepcopy(value)
            places.append((key,))
    return places
