"""Tables of the results page: cells, goals, and the methods that do not train."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from fairness_core.metrics import Interval
from fairness_core.reporting.finished_runs import FinishedRun
from fairness_core.reporting.methods import METHOD_QUALITY
from fairness_core.reporting.published import GOALS, Goal
from fairness_core.reporting.results import experiment_kind, reduction_over_seeds, seed_mean
from fairness_core.reporting.summary import label_of, number, percent
from fairness_core.runtime.seeds import seed_for

__all__ = ["METHOD_HEAD", "cell", "figure_rng", "goals_of", "method_rows", "table"]

METHOD_HEAD = (
    "experiment", "method", "bias of", "bias", "reduction", "CLIP-T", "CLIP-I", "DINO",
    "attribute kept", "preparation, s", "network calls",
)  # fmt: skip


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; no trailing newline."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def goals_of(runs: Sequence[FinishedRun]) -> list[Goal]:
    """The paper's goals, or every aligned attribute without one."""
    kind = experiment_kind(runs[0])
    if kind in GOALS:
        present = set(runs[0].prompts["family"])
        return [goal for goal in GOALS[kind] if goal.family in (None, *present)]
    return [Goal(name, float("nan"), "") for name in runs[0].params["finetune"]["align"]]


def figure_rng(*names: str) -> np.random.Generator:
    """Generator of one figure's resamples: no figure's interval depends on the others."""
    return np.random.default_rng(seed_for("results", *names))


def method_rows(
    groups: Mapping[str, Sequence[FinishedRun]], resamples: int
) -> Iterator[tuple[str, ...]]:
    """Every baseline and the aligned model, for experiments all of whose runs measured some.

    Args:
        groups: Experiment to its seeds' runs.
        resamples: Of every bootstrap.

    Yields:
        Cells under `METHOD_HEAD`, a row for each method and bias.

    Raises:
        ArtifactError: A run lacks a figure.
    """
    for name, runs in groups.items():
        methods = list(runs[0].evaluation.get("baselines", {}))
        if not methods or any(set(methods) - set(r.evaluation.get("baselines", {})) for r in runs):
            continue
        for method in (*methods, "aligned"):
            blocks = [_block(run, method) for run in runs]
            for i, goal in enumerate(g for g in goals_of(runs) if g.family is None):
                _, after, gone = reduction_over_seeds(
                    runs, goal.group, model=method, rng=figure_rng(name, method, goal.group),
                    resamples=resamples,
                )  # fmt: skip
                quality = [cell(seed_mean([b[key] for b in blocks])) for key, _ in METHOD_QUALITY]
                first = [*quality, *_preparation(blocks)]
                yield (
                    name, method, label_of(goal.group), cell(after),
                    cell(gone, as_percent=True), *(first if i == 0 else [""] * len(first)),
                )  # fmt: skip


def _block(run: FinishedRun, method: str) -> dict[str, Any]:
    """A model's figures with what it needed before sampling and its rate of kept attributes."""
    if method != "aligned":
        return dict(run.evaluation["baselines"][method])
    cost = {key: run.training[key] for key in ("network_forwards", "network_backwards")}
    kept = (run.evaluation["named"] or {}).get("aligned")
    return {
        **run.evaluation["aligned"],
        "named": {} if kept is None else {"value": kept},
        "preparation": {"seconds": run.training["seconds"], **cost},
    }


def _preparation(blocks: Sequence[Mapping[str, Any]]) -> list[str]:
    kept = [block["named"].get("value") for block in blocks]
    costs = [block["preparation"] for block in blocks]
    calls = [cost["network_forwards"] + cost["network_backwards"] for cost in costs]
    return [
        "" if None in kept else cell(seed_mean(kept)),
        cell(seed_mean([cost["seconds"] for cost in costs]), digits=1),
        f"{np.mean(calls):,.0f}",
    ]


def cell(item: Interval | float, *, as_percent: bool = False, digits: int = 3) -> str:
    """An estimate with its interval in brackets, where it has one."""

    def text(value: float) -> str:
        return percent(value) if as_percent else number(value, digits)

    if not isinstance(item, Interval):
        return text(item)
    return f"{text(item.estimate)} [{text(item.low)}, {text(item.high)}]"
