"""Which values of the parameters name files and folders of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.config.choices import SOURCE
from fairness_core.config.source import Place, merge

__all__ = ["Named", "key_of", "model_names", "moved_places", "named_places"]

# Texts of section models that name no folder.
NO_FOLDER = ("sampler", "detector_device")
WORLDS = ("portraits", "photos")


@dataclass(frozen=True)
class Named:
    """A file or folder that a value names.

    Attributes:
        place: Where the value stands.
        before: What stands before the path, such as ``fairface:``.
        path: As written: seen from the working directory where it is relative.
        there: Whether it is there, and of the right kind.
    """

    place: Place
    before: str
    path: Path
    there: bool

    @property
    def key(self) -> str:
        """As ``section.key``."""
        return key_of(self.place)

    def __str__(self) -> str:
        """As errors name it."""
        return f"{self.key}: {self.path}"


def key_of(place: Place) -> str:
    """A place as ``section.key``."""
    return ".".join(map(str, place))


def model_names(params: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """Every value that names a model: a folder, one that ships, or one of the hub.

    Args:
        params: Sections of a run's, as plain values; those that are missing name none.
    """
    for key, value in params.get("models", {}).items():
        if key not in NO_FOLDER and isinstance(value, str):
            yield ("models", key), value
    for key in ("train_network", "audit_network"):
        # A word is a network to fit, whatever lies here under that name.
        ready = params.get("calibrate_classifier", {}).get(key)
        for name, value in ready.items() if isinstance(ready, Mapping) else ():
            yield ("calibrate_classifier", key, name), value


def named_places(params: Mapping[str, Any]) -> list[Named]:
    """Every file and folder of one's own that a run's parameters name, in their order.

    What ships with the package and models of the hub are none of them, unless a folder of that
    name is there: it counts before the hub.

    Args:
        params: Sections of a run's, as plain values; those that are missing name none.
    """
    models = [
        place
        for at, value in model_names(params)
        for place in _named(at, value, _is_model)
        if not value.startswith("portraits:") and (place.there or "@" not in value)
    ]
    found = [place for place in models if place.place[0] == "models"]
    world = params.get("generate_prompts", {}).get("world")
    overrides = params.get("targets", {}).get("overrides")
    if isinstance(overrides, str):
        found += _named(("targets", "overrides"), overrides, Path.is_file)
    if world not in WORLDS:
        found += _named(("generate_prompts", "world"), world, Path.is_file)
    section = "calibrate_classifier"
    fit = params.get(section, {})
    found += _sources((section, "source"), fit.get("source"))
    found += [place for place in models if place.place[0] == section]
    for key in ("train_weights", "audit_weights"):
        found += _named((section, key), fit.get(key), Path.is_file)
    bank = params.get("build_bank", {}).get("source")
    return [*found, *_sources(("build_bank", "source"), bank)]


def moved_places(
    params: Mapping[str, Any], move: Callable[[Path], Path | None]
) -> dict[str, dict[str, Any]]:
    """An overlay that names other places for those of `named_places` that are there.

    Args:
        params: A whole run's, as plain values.
        move: Gives another path for one, or None where it is to stay.
    """
    overlay: dict[str, dict[str, Any]] = {}
    for named in named_places(params):
        other = move(named.path) if named.there else None
        if other is not None:
            value: Any = f"{named.before}{other}"
            for key in reversed(named.place):
                value = {key: value}
            merge(overlay, value)
    return overlay


def _is_model(path: Path) -> bool:
    """A folder, or the one file that a face embedder may be."""
    return path.is_dir() or (path.suffix == ".onnx" and path.is_file())


def _named(place: Place, value: object, there: Callable[[Path], bool]) -> Iterator[Named]:
    """One path, or those of a mapping; nothing where there is neither."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _named((*place, key), inner, there)
    elif isinstance(value, str):
        yield Named(place, "", Path(value), there(Path(value)))


def _sources(place: Place, value: object) -> Iterator[Named]:
    """Folders of data sets, which stand behind their kind."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _sources((*place, key), inner)
    elif isinstance(value, str) and SOURCE.fullmatch(value):
        kind, colon, path = value.partition(":")
        yield Named(place, kind + colon, Path(path), Path(path).is_dir())
