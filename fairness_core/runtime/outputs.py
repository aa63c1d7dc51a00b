"""Folders to write: refused before anything is computed where another's files would be lost."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from fairness_core.errors import ArtifactError
from fairness_core.runtime.files import MANIFEST, read_json, refuse_foreign

__all__ = ["RECIPE", "check_output", "check_work"]

RECIPE = "recipe.json"  # in a folder of unfinished work: what it is for

# What file browsers leave wherever somebody looked.
BROWSERS = (".DS_Store", "Thumbs.db")
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
ANOTHER = "name a folder that is not there yet, or move what is in it elsewhere"
SHOWN = 3  # files that are named


def check_output(
    out: Path, kinds: str | Collection[str], reads: Iterable[Path | str | None] = ()
) -> None:
    """Refuse a folder that a step may not write, before it computes anything.

    A folder that is not there or empty is written; one whose manifest says that the same step wrote
    it is replaced, if it holds nothing else.

    Args:
        out: The folder to write.
        kinds: Of the manifests that the step writes, see ``write_manifest``.
        reads: Files and folders that the step reads; None and what is not there are passed over.

    Raises:
        ArtifactError: The folder holds what the step did not write, or is, holds or lies in
            something that the step reads; or it is the working directory or above it.
        OSError: It cannot be written there.
    """
    place = out.resolve()
    if Path.cwd().is_relative_to(place):
        raise ArtifactError(
            "A step's folder is replaced as a whole, so it cannot be the working directory or one "
            "above it",
            given=out,
            do="name a folder of its own, such as artifacts/NAME",
        )
    for read in reads:
        if read is not None and Path(read).exists():
            _apart(place, out, Path(read))
    refuse_foreign(place)
    if (place / MANIFEST).is_file():
        _ours(place, out, (kinds,) if isinstance(kinds, str) else kinds)
    _writable(place)


def check_work(work: Path, marks: Collection[str] = (RECIPE,)) -> None:
    """Refuse a folder for unfinished work that holds what no earlier start left there.

    Args:
        work: The folder, which may be emptied.
        marks: Names that earlier starts give to what lies in it.

    Raises:
        ArtifactError: It is a file, or has something in it and nothing of these names.
    """
    if work.exists() and not work.is_dir():
        raise ArtifactError("A folder for unfinished work is to be where a file is", given=work)
    there = [path.name for path in work.iterdir()] if work.is_dir() else []
    there = [name for name in there if not TEMPORARY.fullmatch(name)]
    if there and not any(name in marks for name in there):
        raise ArtifactError(
            "Unfinished work is kept in this folder, which holds something else",
            given=f"{work}: {', '.join(sorted(there)[:SHOWN])}",
            do="give another --out, or move what is in it elsewhere",
        )


def _apart(place: Path, out: Path, read: Path) -> None:
    source = read.resolve()
    if source.is_relative_to(place) or (source.is_dir() and place.is_relative_to(source)):
        raise ArtifactError(
            "A step cannot write its folder where it reads",
            given=f"out {out}, read {read}",
            do="write to a folder that neither is, holds nor lies in what is read",
        )


def _ours(place: Path, out: Path, kinds: Collection[str]) -> None:
    manifest = read_json(place / MANIFEST)
    whole = isinstance(manifest, dict) and isinstance(manifest.get("files"), dict)
    if not whole or manifest.get("kind") not in kinds:
        kind = f"'{manifest.get('kind')}'" if whole else "unknown"
        raise ArtifactError(
            f"The folder to write is there and of kind {kind}, not '{' or '.join(kinds)}'; it "
            "would be lost",
            given=out,
            do=ANOTHER,
        )
    strays = sorted(
        name
        for path in place.rglob("*")
        if not path.is_dir() and path.name not in BROWSERS
        for name in [path.relative_to(place).as_posix()]
        if name != MANIFEST and name not in manifest["files"]
    )
    if strays:
        raise ArtifactError(
            "The folder to write is there and holds files that no step put there; they would be "
            "lost",
            given=f"{out}: {', '.join(strays[:SHOWN])}",
            do="move them elsewhere, or name another folder",
        )


def _writable(place: Path) -> None:
    """Fail now, as writing would after the work is done."""
    there = place.parent
    while not there.exists():
        there = there.parent
    with tempfile.TemporaryDirectory(prefix=".evenhand-", dir=there):
        pass
