"""What a step reports to MLflow. One MLflow run for each pipeline step.

The store is ``sqlite:///mlflow.db`` in the working directory, or where ``MLFLOW_TRACKING_URI``
says. A store that cannot be used when a step starts is an error, except a server that does not
answer: that one, like any store that fails later, is written around (``outbox``).
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from fairness_core.errors import ConfigError
from fairness_core.runtime.artifacts import sha256_file
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.mlflow_store import MlflowStore
from fairness_core.runtime.outbox import Message, Outbox, UnreachableError
from fairness_core.runtime.redact import digest, flatten
from fairness_core.runtime.revision import git

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tracker", "open_run"]

# The run of the whole pipeline: set by whoever started it, each step's run is put below it.
PIPELINE_RUN = "MLFLOW_RUN_ID"
UNSENT = Path("artifacts/unsent")
_NAME = re.compile(r"[\w./ :-]{1,250}")


class Tracker:
    """Reports a step's values, pictures and files; when tracking is off it keeps none."""

    def __init__(self, outbox: Outbox | None = None, folder: Path = UNSENT) -> None:
        self._outbox, self._folder = outbox, folder

    def metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers, which may be NaN, of one iteration.

        Raises:
            ConfigError: A name with characters other than letters, digits and ``_ . / : -``.
        """
        self._put("metrics", {_checked(n): float(v) for n, v in values.items()}, step or 0)

    def params(self, values: Mapping[str, Any]) -> None:
        """Log values that stay, nested ones under dotted names, secrets hidden."""
        flat = {_checked(name): value for name, value in flatten(values).items()}
        if flat:
            self._put("params", dict(flat))

    def artifact(self, path: Path | str, folder: str = "") -> None:
        """Log a file, or a folder with all in it, under a folder of the run.

        Raises:
            ConfigError: It does not exist.
        """
        if not Path(path).exists():
            raise ConfigError("A file to log does not exist", given=path)
        self._put("artifact", {"path": str(Path(path).absolute()), "folder": folder})

    def inputs(self, folders: Mapping[str, Path], context: str) -> None:
        """Log what the step reads as MLflow datasets, and their hashes as tags.

        Args:
            folders: Name to folder with a manifest, or to a file.
            context: What it is read for, such as ``training`` or ``evaluation``.
        """
        if self._outbox is None:
            return
        data = {}
        for name, path in folders.items():
            # The manifest holds the hash of every file.
            hashed = path / "manifest.json" if path.is_dir() else path
            if hashed.is_file():
                data[_checked(name)] = {"sha256": sha256_file(hashed), "path": path.as_posix()}
        self._put("inputs", {"context": context, "data": data})

    def model(self, name: str, folder: Path, params: Mapping[str, Any]) -> None:
        """Log a folder as an MLflow LoggedModel of this run.

        Raises:
            ConfigError: The folder does not exist.
        """
        if not folder.is_dir():
            raise ConfigError("A model to log does not exist", given=folder)
        told = {key: str(value) for key, value in flatten(params).items()}
        self._put("model", {"name": _checked(name), "path": str(folder.absolute()), "params": told})

    def picture(self, name: str, image: np.ndarray | Path) -> None:
        """Log a picture under ``pictures/NAME.png``.

        Args:
            name: Its name, without an ending.
            image: PNG file, or h w 3 values: uint8, or floating point in [0, 1].
        """
        if self._outbox is None:
            return
        path = self._place(f"{_checked(name)}.png", "pictures")
        if isinstance(image, Path):
            path.write_bytes(image.read_bytes())
        else:
            if image.dtype != np.uint8:
                image = (image.clip(0, 1) * 255).round().astype(np.uint8)
            Image.fromarray(image).save(path)
        self.artifact(path, "pictures")

    def table(self, name: str, frame: pd.DataFrame) -> None:
        """Log a table as ``tables/NAME.csv``."""
        if self._outbox is None:
            return
        path = self._place(f"{_checked(name)}.csv", "tables")
        frame.to_csv(path, index=False)
        self.artifact(path, "tables")

    def _place(self, name: str, folder: str) -> Path:
        path = self._folder / folder / name.replace("/", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _put(
        self,
        kind: Literal["metrics", "params", "artifact", "inputs", "model", "end"],
        content: dict[str, Any],
        step: int = 0,
    ) -> None:
        if self._outbox is not None:
            self._outbox.put(Message(kind, content, round(time.time() * 1000), step))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "A name cannot be logged", given=repr(name), do="use letters, digits and _ . / : -"
        )
    return name


@contextmanager
def open_run(
    step: str,
    params: Mapping[str, Any],
    *,
    enabled: bool,
    experiment: str,
    tags: Mapping[str, str] | None = None,
    unsent: Path | str = UNSENT,
) -> Iterator[Tracker]:
    """Track one step: an MLflow run with its parameters, ended with the block.

    Args:
        step: Name of the step, which names the run.
        params: Its parameters; secrets are hidden.
        enabled: Whether to track at all; with several processes, on the first only.
        experiment: Name of the MLflow experiment: the run's name in the parameters.
        tags: Further tags.
        unsent: Where a folder of this run is kept while a server cannot be reached.

    Raises:
        ConfigError: MLflow is not installed, or its store cannot be used.
    """
    if not enabled:
        yield Tracker()
        return
    started = round(time.time() * 1000)
    marks = {"evenhand.run": experiment, "step": step, "evenhand.params_sha": digest(params)}
    if os.environ.get(PIPELINE_RUN):
        marks["mlflow.parentRunId"] = os.environ[PIPELINE_RUN]
    store = MlflowStore(experiment, step, marks | _revision() | dict(tags or {}), started)
    folder = Path(unsent) / f"{step}-{started}"
    outbox = Outbox(store.send, folder / "messages.jsonl")
    try:
        store.open()
    except UnreachableError:
        # The first message meets the same wall, and says so once.
        get_logger("tracking").debug("no run yet")
    folder.mkdir(parents=True)
    tracker = Tracker(outbox, folder)
    tracker.params(params)
    status = "FAILED"
    try:
        yield tracker
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        outbox.put(Message("end", {"status": status}, round(time.time() * 1000)))
        outbox.flush()
        if not outbox.left:
            shutil.rmtree(folder)


def _revision() -> dict[str, str]:
    """Git commit of the working directory, where it is a checkout."""
    commit = git("rev-parse", "HEAD")
    return {} if commit is None else {"mlflow.source.git.commit": commit}
