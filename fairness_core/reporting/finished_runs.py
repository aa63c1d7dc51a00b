"""Runs that have ended: finding them, reading what they measured, keeping it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from fairness_core.errors import ArtifactError
from fairness_core.runtime.artifacts import read_json, read_table

__all__ = ["FinishedRun", "find_runs", "keep_run", "read_run"]

PARAMS = "params.yaml"
EVALUATION = "metrics/evaluation.json"
TRAINING = "metrics/finetune.json"
MEASURED = "artifacts/evaluation/prompts.parquet"
CATALOG = "artifacts/prompts/prompts.parquet"
DRIVER = "run.json"  # only where a driver ran the stages


@dataclass(frozen=True)
class FinishedRun:
    """What one run left behind.

    Attributes:
        name: Experiment's name.
        seed: Its seed.
        params: Its parameters.
        evaluation: ``metrics/evaluation.json``.
        training: ``metrics/finetune.json``.
        prompts: Per-prompt table of the evaluation, with each prompt's ``split`` and ``family``.
        seconds: Wall time of all stages; None where no driver ran them.
    """

    name: str
    seed: int
    params: Mapping[str, Any]
    evaluation: Mapping[str, Any]
    training: Mapping[str, Any]
    prompts: pd.DataFrame
    seconds: float | None


def find_runs(folders: Iterable[Path], holding: str = EVALUATION) -> list[Path]:
    """Folders of finished runs: those named, and those below them.

    Args:
        folders: Runs, or folders of runs such as ``evenhand experiments`` writes.
        holding: The file that a finished run has.

    Raises:
        ArtifactError: A folder holds none.
    """
    found: list[Path] = []
    for folder in folders:
        if (folder / holding).is_file():
            found.append(folder)
            continue
        below = sorted(path for path in folder.glob("*/seed-*") if (path / holding).is_file())
        below = below or sorted(p for p in folder.glob("seed-*") if (p / holding).is_file())
        if not below:
            raise ArtifactError(
                f"There is no finished run (no {holding})", given=folder, do="finish one first"
            )
        found += below
    return list(dict.fromkeys(found))


def read_run(folder: Path) -> FinishedRun:
    """Read one run.

    Raises:
        ArtifactError: A file is missing or damaged.
    """
    try:
        params = yaml.safe_load((folder / PARAMS).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArtifactError("A run has no readable params.yaml", given=folder) from error
    table = read_table(folder / MEASURED)
    catalog = read_table(folder / CATALOG)
    known = catalog.set_index("prompt_id")
    run = read_json(folder / DRIVER) if (folder / DRIVER).is_file() else {}
    spent = run.get("seconds")
    place = folder.resolve()
    in_seeds = place.name.startswith("seed-")
    return FinishedRun(
        name=str(run.get("experiment", place.parent.name if in_seeds else place.name)),
        seed=int(params["run"]["seed"]),
        params=params,
        evaluation=read_json(folder / EVALUATION),
        training=read_json(folder / TRAINING),
        prompts=table.assign(
            **{name: table["prompt_id"].map(known[name]) for name in ("split", "family")}
        ),
        seconds=None if spent is None else float(sum(spent.values())),
    )


def keep_run(folder: Path, out: Path) -> Path:
    """Copy what ``read_run`` reads, some 80 KB, to ``out/EXPERIMENT/seed-N``.

    Returns:
        The copy, which ``read_run`` reads as the run itself.

    Raises:
        ArtifactError: The run has no results.
    """
    run = read_run(folder)
    kept = out / run.name / f"seed-{run.seed}"
    if kept.resolve() == folder.resolve():
        return kept
    for name in (PARAMS, EVALUATION, TRAINING, MEASURED, CATALOG, DRIVER):
        if name == DRIVER and not (folder / name).is_file():
            continue
        (kept / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, kept / name)
    return kept
