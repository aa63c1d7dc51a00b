"""Checkpoints of a finetuning run: whole or absent, safetensors and JSON, checked when read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file, save_file
from torch import Tensor

from fairness_core.errors import ArtifactError
from fairness_core.runtime.artifacts import verify, write_manifest
from fairness_core.runtime.files import (
    atomic_folder,
    read_json,
    read_table,
    write_json,
    write_table,
)
from fairness_core.runtime.logs import get_logger

__all__ = ["Checkpoint", "clear_checkpoints", "newest_checkpoint", "save_checkpoint"]

KIND = "finetune-checkpoint"
KEPT = 2

_logger = get_logger("checkpoint")


@dataclass(frozen=True)
class Checkpoint:
    """The state after an iteration; a run that goes on from it ends as if never interrupted.

    Attributes:
        iteration: Iterations done.
        weights: Live adapter weights by name.
        average: Moving average of them; ``updates`` is how often it was updated.
        updates: See ``average``.
        optimizer: State as ``optimizer_state`` gives it.
        log: One row per iteration done.
    """

    iteration: int
    weights: Mapping[str, Tensor]
    average: Mapping[str, Tensor]
    updates: int
    optimizer: Mapping[str, Tensor]
    log: pd.DataFrame


def save_checkpoint(folder: Path, checkpoint: Checkpoint, fingerprint: str) -> Path:
    """Write ``folder/iteration-NNNNNN`` in one step and drop all but the newest two.

    Args:
        folder: Where a run's checkpoints lie.
        checkpoint: What to keep.
        fingerprint: Of everything that the run's result depends on.

    Returns:
        The new checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"iteration-{checkpoint.iteration:06d}"
    with atomic_folder(place) as inside:
        save_file(dict(checkpoint.weights), inside / "weights.safetensors")
        save_file(dict(checkpoint.average), inside / "average.safetensors")
        save_file(dict(checkpoint.optimizer), inside / "optimizer.safetensors")
        state = {"iteration": checkpoint.iteration, "updates": checkpoint.updates}
        write_json(state, inside / "state.json")
        write_table(checkpoint.log, inside / "log.parquet")
        write_manifest(inside, KIND, fingerprint=fingerprint)
    for old in _checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return place


def newest_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest checkpoint of this very run, or None if there is none.

    A damaged one is named in a warning and the one before it is taken. Those of another run
    (other parameters, prompts or models) are left alone and not taken.
    """
    for place in reversed(_checkpoints(folder)):
        try:
            manifest = verify(place, kind=KIND)
        except ArtifactError as error:
            _logger.warning("Passing over a damaged checkpoint. %s", error)
            continue
        if manifest["fingerprint"] != fingerprint:
            _logger.warning("Passing over a checkpoint of a run with other settings: %s", place)
            continue
        state = read_json(place / "state.json")
        return Checkpoint(
            iteration=state["iteration"],
            weights=load_file(place / "weights.safetensors"),
            average=load_file(place / "average.safetensors"),
            updates=state["updates"],
            optimizer=load_file(place / "optimizer.safetensors"),
            log=read_table(place / "log.parquet"),
        )
    return None


def clear_checkpoints(folder: Path) -> None:
    """Remove a finished run's checkpoints; the folder stays."""
    for place in _checkpoints(folder):
        shutil.rmtree(place)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("iteration-*") if p.is_dir())
