"""Files that are whole or absent: written beside their place, flushed, then renamed into it."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from fairness_core.errors import ArtifactError
from fairness_core.runtime.writers import run_again

__all__ = [
    "MANIFEST",
    "atomic_file",
    "atomic_folder",
    "read_csv",
    "read_json",
    "read_table",
    "recover",
    "refuse_foreign",
    "write_json",
    "write_table",
]

MANIFEST = "manifest.json"  # in every folder that a step writes
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two paths in one step (Linux renameat2); False where the filesystem cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(call(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _previous(path: Path) -> Path:
    return path.with_name(f".{path.name}.previous")


def recover(path: Path) -> None:
    """Undo what a killed ``atomic_folder`` left: no temporary remains, the old content is back.

    A reader of a folder that may have been written by a killed process calls this first.
    """
    previous = _previous(path)
    if previous.exists() and not path.exists():
        previous.rename(path)
    for left in [previous, *path.parent.glob(f".{glob.escape(path.name)}.????????.tmp")]:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def refuse_foreign(path: Path) -> None:
    """Refuse to replace a folder that holds something and no manifest: no step wrote it.

    Raises:
        ArtifactError: It does, or the path is a file.
    """
    if path.exists() and not path.is_dir():
        raise ArtifactError("A folder is to be written where a file is", given=path)
    if path.is_dir() and not (path / MANIFEST).is_file() and any(path.iterdir()):
        raise ArtifactError(
            f"The folder to write is there and no step wrote it: it holds files and no {MANIFEST}, "
            "and would be lost",
            given=path,
            do="name a folder that is not there yet, or move what is in it elsewhere",
        )


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Folder to fill, which replaces ``path`` as a whole when the block ends without an error.

    A process killed at any moment leaves the old content or the new. Where the filesystem cannot
    swap two folders in one step there is an instant in which neither is in place; the next
    ``atomic_folder`` of that path, before it yields, puts the old one back. One writer at a time.

    Raises:
        ArtifactError: The path is a file, or a folder with something in it and no manifest.
    """
    path = Path(path)
    refuse_foreign(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    recover(path)
    temporary = _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        for root, _, files in os.walk(temporary):
            for name in files:
                _flush(Path(root, name))
            _flush(Path(root))
        if not path.exists():
            temporary.rename(path)
        elif not _exchange(temporary, path):
            path.rename(_previous(path))
            temporary.rename(path)
        _flush(path.parent)
    finally:
        recover(path)


@contextmanager
def atomic_file(path: Path | str) -> Iterator[Path]:
    """File name to write to, which replaces ``path`` when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        yield temporary
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Python's own number for a numpy one; paths as text."""
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def write_json(value: Any, path: Path | str) -> None:
    """Write JSON, indented, in the order given.

    Raises:
        ArtifactError: A value without a JSON form, NaN and infinity among them.
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"Cannot write {path} as JSON: {error}") from error
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.is_file():
        raise ArtifactError(
            "A step's file does not exist", given=path, do=run_again(path, again=False)
        )
    return path


def read_json(path: Path | str) -> Any:
    """Read JSON.

    Raises:
        ArtifactError: No such file, or it is damaged.
    """
    path = _existing(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(
            f"A JSON file is damaged: {error}", given=path, do=run_again(path)
        ) from error


def read_csv(path: Path, what: str) -> pd.DataFrame:
    """Read a table that somebody wrote by hand: every cell as text, blank where it is.

    Args:
        path: The file.
        what: Names the table in the error.

    Raises:
        ArtifactError: No such file, or it is no table with a header row, in UTF-8, whose rows have
            no more cells than it.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        # With a cell too many in every row pandas takes the first column for names of rows.
        problem = "" if isinstance(table.index, pd.RangeIndex) else "rows have too many cells"
    except (ValueError, OSError) as error:
        problem = f"{type(error).__name__}: {str(error).strip()}"
    if problem:
        raise ArtifactError(
            f"{what} cannot be read ({problem})",
            given=path,
            do="write a table in UTF-8 with a header row, and as many cells in each row",
        )
    # Rows with too few cells end in nothing.
    return table.fillna("")


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a table as Parquet, without its index."""
    with atomic_file(path) as temporary:
        frame.to_parquet(temporary, index=False, engine="pyarrow")


def read_table(path: Path | str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table, or some columns of it in the order named.

    Raises:
        ArtifactError: No such file, it is damaged, or a column is missing.
    """
    path = _existing(path)
    # pyarrow takes 0.3 s to import; what only needs JSON does not wait for it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        present = pq.read_schema(path).names
        missing = [name for name in columns or () if name not in present]
        if missing:
            raise ArtifactError(
                f"A table lacks {', '.join(missing)}; it has {', '.join(present)}",
                given=path,
                do=run_again(path),
            )
        return pd.read_parquet(path, columns=None if columns is None else list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"A table is damaged: {error}", given=path, do=run_again(path)
        ) from error
