"""Finished runs of several seeds as estimates with intervals, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from jaxtyping import Float
from scipy import stats

from fairness_core.errors import ArtifactError
from fairness_core.metrics import Interval, percentiles
from fairness_core.runtime.artifacts import read_json, read_table

__all__ = [
    "FinishedRun",
    "experiment_kind",
    "find_runs",
    "interval_of_share",
    "read_run",
    "reduction_over_seeds",
    "seed_mean",
]

LEVEL = 0.95


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


def find_runs(folders: Iterable[Path], holding: str = "metrics/evaluation.json") -> list[Path]:
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
        params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ArtifactError("A run has no readable params.yaml", given=folder) from error
    table = read_table(folder / "artifacts/evaluation/prompts.parquet")
    catalog = read_table(folder / "artifacts/prompts/prompts.parquet")
    known = catalog.set_index("prompt_id")
    run = read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    spent = run.get("seconds")
    place = folder.resolve()
    in_seeds = place.name.startswith("seed-")
    return FinishedRun(
        name=str(run.get("experiment", place.parent.name if in_seeds else place.name)),
        seed=int(params["run"]["seed"]),
        params=params,
        evaluation=read_json(folder / "metrics/evaluation.json"),
        training=read_json(folder / "metrics/finetune.json"),
        prompts=table.assign(
            **{name: table["prompt_id"].map(known[name]) for name in ("split", "family")}
        ),
        seconds=None if spent is None else float(sum(spent.values())),
    )


def experiment_kind(run: FinishedRun) -> str:
    """Which of the paper's experiments a run is: a key of ``published.GOALS``, or its attributes.

    Training on further families of prompts than occupations (``finetune.prompt_families``) makes
    it multi-concept, soft tokens that are trained make it one of tokens.
    """
    finetune = run.params["finetune"]
    aligned = " ".join(finetune["align"])
    families = {name for name, times in finetune.get("prompt_families", {}).items() if times}
    if families - {"occupation", "named"}:
        return "multi-concept"
    tokens = any(value for key, value in finetune.items() if "token" in key or "soft" in key)
    return f"{aligned} tokens" if tokens else aligned


def _paired(
    runs: Sequence[FinishedRun], group: str, model: str, family: str | None, column: str
) -> Float[np.ndarray, "r p 2"]:
    """The column for base and model of every run, over the prompts that all have faces for.

    Raises:
        ArtifactError: There is no such prompt.
    """
    tables = []
    for run in runs:
        rows = run.prompts[run.prompts["attribute"] == group]
        if family is not None:
            rows = rows[rows["family"] == family]
        else:
            rows = rows[rows["split"] == run.params["evaluate_bias"]["split"]]
        wide = rows.pivot_table(index="prompt_id", columns="model", values=column)
        if not {"base", model} <= set(wide.columns):
            raise ArtifactError(
                f"A run's prompts have no '{column}' of {group}",
                given=f"{run.name}, seed {run.seed}, models {list(wide.columns)}",
                do="run evaluate_bias again",
            )
        tables.append(wide[["base", model]].dropna())
    shared = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not shared:
        raise ArtifactError(
            "The runs have no prompt in common", given=[f"{r.name}, seed {r.seed}" for r in runs]
        )
    return np.stack([table.loc[shared].to_numpy(dtype=float) for table in tables])


def _resampled(
    values: Float[np.ndarray, "r p 2"], rng: np.random.Generator, resamples: int
) -> Float[np.ndarray, "b 2"]:
    """Means of resampled seeds and, for all of them alike, resampled prompts."""
    runs, prompts, _ = values.shape
    # How often each seed and each prompt is drawn decides the mean; the order does not.
    seeds = rng.multinomial(runs, np.full(runs, 1 / runs), size=resamples)
    chosen = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=resamples)
    total = np.einsum("br,bp,rpk->bk", seeds, chosen, values, optimize=True)
    return np.asarray(total / (runs * prompts))


def reduction_over_seeds(
    runs: Sequence[FinishedRun],
    group: str,
    *,
    model: str = "aligned",
    family: str | None = None,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> tuple[Interval, Interval, Interval]:
    """Bias of the base, bias of the model, and ``1 - model / base``, over seeds and prompts.

    Means over seeds and prompts; a two-way bootstrap draws seeds and prompts anew, the same
    prompts for every seed and for both models. With few seeds it understates what another seed
    would change, and with one seed it says nothing of it.

    Args:
        runs: Runs of one experiment, at least one.
        group: ``gender``, ``gender_x_race``, ...
        model: The model compared with the base.
        family: Prompts of that family, of every split measured; None: the held-out split.
        rng: Generator of the resamples.
        resamples: At least 1.

    Raises:
        ArtifactError: A run lacks the figure, or the runs share no prompt.
    """
    values = _paired(runs, group, model, family, "bias")
    base, after = values.mean(axis=(0, 1))
    drawn = _resampled(values, rng, resamples)
    drawn = drawn[drawn[:, 0] > 0]
    if base <= 0 or not len(drawn):
        raise ArtifactError("The base model has no bias to reduce", given=group)
    return (
        percentiles(base, drawn[:, 0], LEVEL),
        percentiles(after, drawn[:, 1], LEVEL),
        percentiles(1 - after / base, 1 - drawn[:, 1] / drawn[:, 0], LEVEL),
    )


def interval_of_share(
    runs: Sequence[FinishedRun],
    attribute: str,
    name: str,
    *,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> tuple[Interval, Interval]:
    """Share of a class for base and aligned, as `reduction_over_seeds` makes its intervals."""
    values = _paired(runs, attribute, "aligned", None, f"share_{name}")
    drawn = _resampled(values, rng, resamples)
    base, after = values.mean(axis=(0, 1))
    return percentiles(base, drawn[:, 0], LEVEL), percentiles(after, drawn[:, 1], LEVEL)


def seed_mean(values: Sequence[float]) -> Interval | float:
    """Mean over seeds with Student's t interval; the bare value where there is one seed."""
    array = np.asarray(values, dtype=float)
    mean = float(array.mean())
    if len(array) < 2:
        return mean
    half = stats.t.ppf((1 + LEVEL) / 2, len(array) - 1) * stats.sem(array)
    return Interval(mean, mean - float(half), mean + float(half))
