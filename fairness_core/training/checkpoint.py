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
SHOWN = 12  # hexadecimal digits of the fingerprint in a checkpoint's name

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
    """Write ``folder/iteration-NNNNNNNN-RUN`` in one step; drop all but this run's newest two.

    Args:
        folder: Where checkpoints lie; those of runs with other settings are left alone.
        checkpoint: What to keep.
        fingerprint: Of everything that the run's result depends on; RUN is its beginning.

    Returns:
        The new checkpoint's folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"iteration-{checkpoint.iteration:08d}-{fingerprint[:SHOWN]}"
    with atomic_folder(place) as inside:
        save_file(dict(checkpoint.weights), inside / "weights.safetensors")
        save_file(dict(checkpoint.average), inside / "average.safetensors")
        save_file(dict(checkpoint.optimizer), inside / "optimizer.safetensors")
        state = {"iteration": checkpoint.iteration, "updates": checkpoint.updates}
        write_json(state, inside / "state.json")
        write_table(checkpoint.log, inside / "log.parquet")
        write_manifest(inside, KIND, fingerprint=fingerprint)
    for old in _checkpoints(folder, fingerprint)[:-KEPT]:
        shutil.rmtree(old)
    return place


def newest_checkpoint(folder: Path, fingerprint: str) -> Checkpoint | None:
    """The newest checkpoint of this very run, or None if there is none.

    A damaged one is named in a warning and the one before it is taken. Those of another run
    (other parameters, prompts or models) are left alone and not taken.
    """
    own = _checkpoints(folder, fingerprint)
    others = len(_checkpoints(folder)) - len(own)
    if others:
        _logger.warning(
            "Leaving alone %d checkpoints of runs with other settings in %s", others, folder
        )
    for place in reversed(own):
        try:
            manifest = verify(place, kind=KIND)
        except ArtifactError as error:
            _logger.warning("Passing over a damaged checkpoint. %s", error)
            continue
        if manifest["extra"].get("fingerprint") != fingerprint:
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


def clear_checkpoints(folder: Path, fingerprint: str) -> None:
    """Remove a finished run's checkpoints, and what a killed process left half-written.

    The folder stays, and so do the checkpoints of runs with other settings.
    """
    for place in _checkpoints(folder, fingerprint):
        shutil.rmtree(place)
    for unfinished in folder.glob(".iteration-*"):
        shutil.rmtree(unfinished)


def _checkpoints(folder: Path, fingerprint: str = "") -> list[Path]:
    """Whole checkpoints, oldest first: of one run, or of all."""
    return sorted(p for p in folder.glob(f"iteration-*-{fingerprint[:SHOWN]}*") if p.is_dir())
