"""Where a model named in the parameters lies: a shipped one ("portraits:base") or a folder."""

from __future__ import annotations

from pathlib import Path

from fairness_core.errors import ModelError
from fairness_core.runtime.artifacts import verify

__all__ = ["SHIPPED", "WEIGHTS", "resolve"]

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("base", "clip", "clip-audit", "dino", "dino-audit", "faces")
PREFIX = "portraits:"


def resolve(name: str) -> Path:
    """Folder of a model; a shipped one is checked against its manifest's sha256.

    Args:
        name: ``portraits:NAME``, ``portraits:NAME/FOLDER`` inside it, or a path.

    Raises:
        ModelError: No such shipped model or folder.
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
    return _existing(Path(name), name)


def _existing(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise ModelError(
            "A model folder does not exist",
            given=name,
            do="give a local folder in the layout its library saves, or portraits:NAME",
        )
    return folder
