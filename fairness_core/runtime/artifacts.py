"""What travels between steps: folders whose manifest names every file with its SHA-256."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fairness_core.errors import ArtifactError
from fairness_core.runtime.files import (
    MANIFEST,
    atomic_file,
    atomic_folder,
    read_csv,
    read_json,
    read_table,
    recover,
    write_json,
    write_table,
)
from fairness_core.runtime.writers import run_again

__all__ = [
    "MANIFEST",
    "atomic_file",
    "atomic_folder",
    "read_csv",
    "read_json",
    "read_table",
    "recover",
    "sha256_file",
    "verify",
    "write_json",
    "write_manifest",
    "write_table",
]


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path | str, kind: str, version: int = 1, **extra: Any) -> dict[str, Any]:
    """Write ``manifest.json`` for everything that lies in the folder now.

    Args:
        folder: Folder with all its files in place.
        kind: What it holds, such as ``adapter``; ``verify`` compares it.
        version: Version of the folder's layout.
        **extra: Further values with a JSON form, kept under ``extra``.

    Returns:
        The manifest: kind, schema_version, files ``{path: {sha256, bytes}}``, extra.
    """
    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {
            "sha256": sha256_file(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }
    manifest = {"kind": kind, "schema_version": version, "files": files, "extra": extra}
    write_json(manifest, folder / MANIFEST)
    return manifest


def _read_manifest(folder: Path, kind: str | None) -> dict[str, Any]:
    if not folder.is_dir():
        raise ArtifactError(
            "A step's folder does not exist", given=folder, do=run_again(folder, kind, again=False)
        )
    if not (folder / MANIFEST).is_file():
        raise ArtifactError(
            f"A folder has no {MANIFEST}, so nothing says whether it is complete",
            given=folder,
            do=run_again(folder, kind),
        )
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ArtifactError("A manifest is damaged: it lists no files", given=folder / MANIFEST)
    return manifest


def verify(
    folder: Path | str, kind: str | Collection[str] | None = None, version: int = 1
) -> dict[str, Any]:
    """Check every file of a folder against its manifest; files it does not list are ignored.

    Args:
        folder: Folder with a ``manifest.json``.
        kind: The kind it must be of, or several of which it is one; None: any.
        version: Version of the layout that the reader understands.

    Returns:
        The manifest.

    Raises:
        ArtifactError: The folder, its manifest or a file is missing; kind or version differ; or a
            file's content does: the error names it with both hashes.
    """
    folder = Path(folder)
    kinds = (kind,) if isinstance(kind, str) else tuple(kind or ())
    first = kinds[0] if kinds else None
    manifest = _read_manifest(folder, first)
    if kinds and manifest.get("kind") not in kinds:
        raise ArtifactError(
            f"A folder is of kind '{manifest.get('kind')}' where '{' or '.join(kinds)}' is needed",
            given=folder,
        )
    if manifest.get("schema_version") != version:
        raise ArtifactError(
            f"A folder has layout version {manifest.get('schema_version')}, "
            f"this program reads {version}",
            given=folder,
            do="write it again with this version of the program",
        )
    again = run_again(folder, first or manifest.get("kind"))
    for name, entry in manifest["files"].items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ArtifactError("A manifest names a file outside its folder", given=path)
        if not path.is_file():
            raise ArtifactError("A file is missing from a folder", given=path, do=again)
        found = sha256_file(path)
        if found != entry["sha256"]:
            raise ArtifactError(
                f"A file is damaged: its SHA-256 is {found}, the manifest says {entry['sha256']}",
                given=path,
                do=f"restore it, or {again}",
            )
    return manifest
