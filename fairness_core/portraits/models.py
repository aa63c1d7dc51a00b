"""Where a model named in the parameters lies: shipped ("portraits:base"), local or on the hub."""

from __future__ import annotations

from pathlib import Path

from fairness_core.errors import ModelError
from fairness_core.runtime.artifacts import verify
from fairness_core.runtime.hub import fetch, is_hub_id

__all__ = ["SHIPPED", "WEIGHTS", "called", "resolve"]

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("base", "clip", "clip-audit", "dino", "dino-audit", "faces")
PREFIX = "portraits:"


def resolve(name: str) -> Path:
    """Folder or file of a model; a shipped one is checked against its manifest's sha256.

    Args:
        name: ``portraits:NAME``, ``portraits:NAME/FOLDER`` inside it, a path (a
            folder, or a face embedder's ``.onnx`` file), or ``ORG/NAME@REVISION`` of the hub (see
            ``fetch``); a folder that is there counts before the hub.

    Raises:
        ModelError: No such shipped model or folder; or a hub's model that cannot be had.
        ArtifactError: A shipped file is missing or damaged (the file and both hashes are named).
    """
    if name.startswith(PREFIX):
        key, _, inside = name.removeprefix(PREFIX).partition("/")
        if key not in SHIPPED:
            raise ModelError(
                f"There is no shipped model '{key}'", do=f"choose among {', '.join(SHIPPED)}"
            )
        folder = WEIGHTS / key
        verify(folder, kind="portraits-model")
        return _existing(folder / inside, name)
    if not Path(name).is_dir() and is_hub_id(name):
        return fetch(name)
    return _existing(Path(name), name)


def called(name: str) -> str:
    """What cards and reports call a model: a folder by its own name, not by where it lies here.

    Args:
        name: As ``resolve`` takes it; those that ship and those of the hub stay as they are.
    """
    if name.startswith(PREFIX) or (is_hub_id(name) and not Path(name).is_dir()):
        return name
    return Path(name).absolute().name


def _existing(folder: Path, name: str) -> Path:
    if not folder.is_dir() and not (folder.suffix == ".onnx" and folder.is_file()):
        raise ModelError(
            "A model folder does not exist",
            given=name,
            do="give a local folder in the layout its library saves, portraits:NAME, or a model "
            "of the hub with its commit, ORG/NAME@REVISION",
        )
    return folder
