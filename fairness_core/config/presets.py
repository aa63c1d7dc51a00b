"""Presets: overlays over params.yaml, one file for each experiment."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fairness_core.config.load import load
from fairness_core.config.nearest import nearest
from fairness_core.config.schema import Params
from fairness_core.config.source import merge, parse, read
from fairness_core.errors import ConfigError

__all__ = [
    "Preset",
    "assignments",
    "experiment",
    "find_preset",
    "load_preset",
    "preset_files",
    "read_preset",
    "read_presets",
]

EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Preset:
    """One file.

    Attributes:
        name: The file's name without its ending.
        about: The comment in its first line.
        values: What it lays over params.yaml, section by section.
    """

    name: str
    about: str
    values: Mapping[str, Any]


def read_presets(folder: Path | str) -> list[Preset]:
    """Every ``*.yaml`` of a folder, by name.

    Raises:
        ConfigError: No such folder or no preset in it, one that is no mapping, gives a key twice,
            or has no comment in its first line.
    """
    return [read_preset(path) for path in preset_files(folder)]


def preset_files(folder: Path | str) -> list[Path]:
    """Every ``*.yaml`` of a folder, by name, unread.

    Raises:
        ConfigError: No such folder or no preset in it.
    """
    paths = sorted(Path(folder).glob("*.yaml"), key=lambda path: path.stem)
    if not paths:
        raise ConfigError(
            "There is no preset here",
            given=folder,
            do="name the folder of presets by --folder",
        )
    return paths


def read_preset(path: Path) -> Preset:
    """One file.

    Raises:
        ConfigError: See `read_presets`.
    """
    source = read(path)
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    if not first.startswith("# ") or source.problems:
        twice = "; ".join(f"{'.'.join(map(str, p.place))} {p.message}" for p in source.problems)
        raise ConfigError(
            "A preset begins with a comment that says what it is, and gives each key once",
            given=path.name + (f": {twice}" if twice else ""),
            do="correct the file, or move it out of the folder of presets",
        )
    return Preset(path.stem, first.removeprefix("# ").strip(), source.values)


def find_preset(folder: Path | str, name: str) -> Preset:
    """The preset of that name.

    Raises:
        ConfigError: There is none, and the message has the nearest name; or it is unsound. Other
            files of the folder do not matter.
    """
    paths = {path.stem: path for path in preset_files(folder)}
    if name not in paths:
        raise ConfigError(
            "There is no such preset",
            given=f"{name}{nearest(name, paths)}",
            do="see evenhand presets for their names",
        )
    return read_preset(paths[name])


def load_preset(
    path: Path | str, preset: Preset, overrides: Iterable[str | Mapping[str, Any]] = ()
) -> Params:
    """Parameters of a preset laid over a file, then single values over both, all checked.

    Raises:
        ConfigError: Every problem, as ``load`` has them, with the preset's name.
    """
    try:
        return load(path, [preset.values, *overrides])
    except ConfigError as error:
        raise ConfigError(
            f"With preset '{preset.name}': {error.what}", given=error.given, do=error.do
        ) from error


def assignments(values: Mapping[str, Any], base: Mapping[str, Any] = EMPTY) -> list[str]:
    """Values as ``++section.key=value``, what ``dvc exp run --set-param`` takes, in order.

    ``++`` sets a key whether params.yaml has it or not. Numbers, words and lists are written so
    that Hydra's grammar reads the same values; a mapping becomes one assignment for each key.

    Args:
        values: By section.
        base: What they are laid over: Hydra puts no mapping in a list's or a word's place, which
            is therefore emptied first.

    Raises:
        ConfigError: A key with quotes or other signs that Hydra's grammar has no way to write.
    """
    return list(_assignments(values, "", base))


def experiment(
    preset: Preset | None,
    overrides: Iterable[str | Mapping[str, Any]],
    *,
    keep: bool,
    base: Mapping[str, Any] = EMPTY,
) -> list[str]:
    """The command line ``dvc exp run`` of a preset with single values over it.

    Args:
        preset: The overlay; it names the experiment. None: DVC finds a name.
        overrides: ``section.key=value``, the value in YAML, or mappings, as ``load`` takes them.
        keep: Run in the working directory; otherwise in a temporary one.
        base: Values of params.yaml.
    """
    values: dict[str, Any] = {}
    if preset is not None:
        merge(values, preset.values)
    for override in overrides:
        merge(values, parse(override) if isinstance(override, str) else override)
    given = [word for value in assignments(values, base) for word in ("--set-param", value)]
    name = [] if preset is None else ["--name", preset.name]
    return ["dvc", "exp", "run", *([] if keep else ["--temp"]), *name, *given]


def _assignments(values: Mapping[str, Any], before: str, base: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        place, there = f"{before}{key}", base.get(key)
        if isinstance(value, Mapping) and value and all(_plain(name) for name in value):
            if there is not None and not isinstance(there, Mapping):
                yield f"++{place}=null"
            yield from _assignments(
                value, f"{place}.", there if isinstance(there, Mapping) else EMPTY
            )
        else:
            yield f"++{place}={_text(value)}"


def _plain(name: object) -> bool:
    return str(name).replace("_", "").isalnum()


def _key(name: str) -> str:
    """A key inside a mapping, which that grammar does not let be quoted."""
    if not re.fullmatch(r"[\w\-/+.$%*@?| \\()\[\]{}:=,]+", name):
        raise ConfigError(
            "DVC cannot be given this key on a command line",
            given=name,
            do="give targets.overrides a file instead",
        )
    return re.sub(r"([\\()\[\]{}:=,])", r"\\\1", name)


def _text(value: Any) -> str:
    """A value in Hydra's override grammar."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_key(str(k))}:{_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(item) for item in value) + "]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)
