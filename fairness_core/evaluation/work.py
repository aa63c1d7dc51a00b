"""A folder under way: what a killed run has finished, and whether it may be gone on with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from fairness_core.runtime.artifacts import read_json, write_json
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.outputs import RECIPE, check_work

__all__ = ["DONE", "RECIPE", "is_complete", "note_batch", "open_work"]

DONE = "batches.jsonl"


def open_work(work: Path, recipe: Mapping[str, object]) -> dict[int, float]:
    """Make the folder, or go on in it if the same recipe began it; else empty it first.

    Args:
        work: The folder.
        recipe: Everything that decides the content; JSON values.

    Returns:
        Seconds of each batch already done, by its number.

    Raises:
        ArtifactError: The folder holds what was not begun here.
    """
    if (work / RECIPE).is_file() and read_json(work / RECIPE) == json.loads(json.dumps(recipe)):
        return _read_done(work / DONE)
    check_work(work)
    if work.exists():
        get_logger("evaluation").info("discarding unfinished work of other settings in %s", work)
        shutil.rmtree(work)
    work.mkdir(parents=True)
    write_json(recipe, work / RECIPE)
    return {}


def _read_done(log: Path) -> dict[int, float]:
    lines = log.read_text().splitlines() if log.is_file() else []
    done = {}
    for line in lines:
        try:
            entry = json.loads(line)
            done[int(entry["batch"])] = float(entry["seconds"])
        except (ValueError, KeyError, TypeError):
            # A kill can cut the last line short; its batch is then made again.
            continue
    return done


def note_batch(work: Path, batch: int, seconds: float) -> None:
    """Put on record that a batch is done, safe against a kill in the next moment."""
    # The blank start ends a line that an earlier kill has cut short.
    with (work / DONE).open("a") as stream:
        stream.write("\n" + json.dumps({"batch": batch, "seconds": seconds}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def is_complete(work: Path, done: Mapping[int, float], batch: int, files: Iterable[str]) -> bool:
    """Whether a batch is on record and all its files are there."""
    return batch in done and all((work / file).is_file() for file in files)
