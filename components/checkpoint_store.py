"""Checkpoints in an object store: a run whose node was taken away goes on from there.

Training writes whole checkpoint folders to a local disk; each new one is copied while training goes
on, and the newest are fetched before it starts. A folder counts only once its last file, ``whole``,
is there, so that a copy which was broken off is not taken for a checkpoint.
"""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fairness_core.errors import ArtifactError

__all__ = ["CheckpointStore", "mirrored"]

WHOLE = "whole"
KEPT = 2
EVERY = 5.0  # seconds between looks for a new checkpoint


class CheckpointStore:
    """A folder of an object store.

    Args:
        uri: ``s3://bucket/folder``, ``gs://bucket/folder`` or ``file:///folder``. S3's endpoint
            and credentials come from ``MLFLOW_S3_ENDPOINT_URL`` (or ``AWS_ENDPOINT_URL``) and AWS's
            own variables, or from the pod's account.

    Raises:
        ArtifactError: The store cannot be used.
    """

    def __init__(self, uri: str) -> None:
        from pyarrow import fs

        self.uri = uri
        with _told("open", uri):
            if uri.startswith("s3://"):
                self._files, self._root = fs.S3FileSystem(**_s3()), uri.removeprefix("s3://")
            else:
                self._files, self._root = fs.FileSystem.from_uri(uri)
        self._root = self._root.rstrip("/")

    def fetch(self, folder: Path) -> int:
        """Copy whole checkpoints into a local folder, and say how many there were."""
        from pyarrow import fs

        names = self._whole()
        for name in names:
            target = folder / name
            if target.exists():
                continue
            unfinished = folder / f".{name}.fetched"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            with _told("read", self.uri):
                fs.copy_files(
                    f"{self._root}/{name}", str(unfinished),
                    source_filesystem=self._files, destination_filesystem=fs.LocalFileSystem(),
                )  # fmt: skip
            (unfinished / WHOLE).unlink()
            unfinished.rename(target)
        return len(names)

    def push(self, folder: Path) -> list[str]:
        """Copy local checkpoints that the store does not have, drop all but its newest two.

        Returns:
            Names of those copied.
        """
        from pyarrow import fs

        there = set(self._whole())
        local = sorted(path for path in folder.glob("iteration-*") if path.is_dir())[-KEPT:]
        new = [path for path in local if path.name not in there]
        with _told("write", self.uri):
            for path in new:
                target = f"{self._root}/{path.name}"
                self._files.create_dir(target, recursive=True)
                fs.copy_files(
                    str(path), target,
                    source_filesystem=fs.LocalFileSystem(), destination_filesystem=self._files,
                )  # fmt: skip
                with self._files.open_output_stream(f"{target}/{WHOLE}") as stream:
                    stream.write(b"1")
        if new:
            for name in self._whole()[:-KEPT]:
                self._drop(name)
        return [path.name for path in new]

    def clear(self) -> None:
        """Remove the folder: the run has its result."""
        with _told("clear", self.uri):
            self._files.delete_dir_contents(self._root, missing_dir_ok=True)

    def _drop(self, name: str) -> None:
        with _told("clear", self.uri):
            # First what says that it is whole: a removal that is broken off leaves no half ones.
            self._files.delete_file(f"{self._root}/{name}/{WHOLE}")
            self._files.delete_dir(f"{self._root}/{name}")

    def _whole(self) -> list[str]:
        from pyarrow import fs

        with _told("list", self.uri):
            found = self._files.get_file_info(
                fs.FileSelector(self._root, allow_not_found=True, recursive=True)
            )
        return sorted(Path(one.path).parent.name for one in found if Path(one.path).name == WHOLE)


@contextmanager
def mirrored(uri: str, folder: Path, *, every: float = EVERY) -> Iterator[None]:
    """Start with what the store has, and keep it up to date while the block runs.

    A store that is away is a warning while training runs: its checkpoints go there when it is
    back. When the block ends without an error the store's folder is cleared; with one, what was
    not copied yet is copied.

    Args:
        uri: See `CheckpointStore`.
        folder: Where training writes its checkpoints.
        every: Seconds between looks.

    Raises:
        ArtifactError: The store cannot be read when it starts.
    """
    store, ended = CheckpointStore(uri), threading.Event()
    folder.mkdir(parents=True, exist_ok=True)
    count = store.fetch(folder)
    if count:
        _say(f"{count} checkpoints fetched from {uri}")

    def copy() -> None:
        try:
            for name in store.push(folder):
                _say(f"{name} is in {uri}")
        except ArtifactError as error:
            _say(f"warning: {error}")

    def watch() -> None:
        while not ended.wait(every):
            copy()

    thread = threading.Thread(target=watch, name="checkpoints", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        ended.set()
        thread.join()
        copy()
        raise
    ended.set()
    thread.join()
    try:
        store.clear()
    except ArtifactError as error:
        _say(f"warning: {error}")


def _say(text: str) -> None:
    sys.stderr.write(f"checkpoints: {text}\n")


def _s3() -> dict[str, Any]:
    import os
    from urllib.parse import urlsplit

    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return {}
    # Checksums in the body's tail, which a client sends unless told, are Amazon's own way: Ceph
    # answers 411 to them.
    os.environ.setdefault("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
    parts = urlsplit(endpoint)
    return {"endpoint_override": parts.netloc, "scheme": parts.scheme or "https"}


@contextmanager
def _told(what: str, uri: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # pyarrow's own are OSErrors and ValueErrors
        brief = " ".join(str(error).split())[:300]
        raise ArtifactError(
            f"Cannot {what} the checkpoints' store: {brief}",
            given=uri,
            do="look at its address and credentials",
        ) from error
