"""``docs/results.md``: experiments over seeds beside the paper's figures, and what falls short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from fairness_core.metrics import Interval
from fairness_core.reporting.finished_runs import FinishedRun
from fairness_core.reporting.published import TABLE_5, Goal
from fairness_core.reporting.results import (
    floor_removed,
    interval_of_share,
    reduction_over_seeds,
    seed_mean,
)
from fairness_core.reporting.results_tables import (
    METHOD_HEAD,
    cell,
    figure_rng,
    goals_of,
    method_rows,
    table,
)
from fairness_core.reporting.summary import label_of, number, percent

__all__ = ["results_page"]

CLIP_T_ALLOWED = 0.02
KEPT_ASKED = 0.95  # of the base's rate
SHARE_ALLOWED = 0.03
ABOUT = """Written by `evenhand results` from finished runs; nothing here was typed in.

Biases are means over held-out prompts and seeds of the parity gap between perceived classes.
*Reduction* is 1 - aligned / base. Brackets hold 95 % intervals: for biases, reductions and shares a
bootstrap that draws seeds and prompts anew, the same prompts for every seed and both models; for
quality and cost Student's t over seeds. With few seeds the former understates what another seed
would change; an experiment of one seed has no interval over seeds. *Floor removed* is the share of
the distance to what a perfectly fair sampler would score (*fair floor*) that is gone: a raw
reduction of 100 % is out of reach for a finite sample, and the lower the base's bias, the further.
The paper's figures are of Stable Diffusion 1.5 and its own prompts and classifiers; they are
compared as relative reductions only.

Minutes are of machines of different speed and load. Network calls are what the runs made: of
*stored* originals, those that an earlier run had not left there; *sampled* ones are made at every
visit of a prompt."""


def results_page(runs: Sequence[FinishedRun], *, resamples: int = 2000) -> str:
    """The page as markdown.

    Args:
        runs: Finished runs, in any order; runs of one name are one experiment's seeds.
        resamples: Of every bootstrap.

    Raises:
        ArtifactError: A run lacks a figure, or runs of one experiment share no prompt.
    """
    groups: dict[str, list[FinishedRun]] = {}
    for run in sorted(runs, key=lambda r: (r.name, r.seed)):
        groups.setdefault(run.name, []).append(run)
    parts = ["# Results", ABOUT, _sizes(runs), "## Bias", _bias_table(groups, resamples)]
    shares = list(_share_rows(groups, resamples))
    if shares:
        parts += ["## Shares with a target of their own", table(SHARE_HEAD, shares)]
    parts += ["## Quality and cost", table(COST_HEAD, [_cost(n, r) for n, r in groups.items()])]
    compared = list(method_rows(groups, resamples))
    if compared:
        parts += ["## Against methods that do not train", table(METHOD_HEAD, compared)]
    short = _shortfalls(groups, resamples)
    parts += ["## What falls short", short or "Nothing: every goal above is met."]
    return "\n\n".join(parts) + "\n"


def _sizes(runs: Sequence[FinishedRun]) -> str:
    found = sorted({(r.evaluation["n_prompts"], r.evaluation["images_per_prompt"]) for r in runs})
    sizes = ", or ".join(
        f"{prompts} held-out prompts of {images} images" for prompts, images in found
    )
    return f"Measured on {sizes}."


BIAS_HEAD = (
    "experiment", "seeds", "bias of", "base", "aligned", "fair floor", "reduction", "floor removed",
    "paper", "goal", "",
)  # fmt: skip
SHARE_HEAD = ("experiment", "seeds", "share of", "base", "aligned", "target", "paper", "")
COST_HEAD = (
    "experiment", "seeds", "CLIP-T change", "CLIP-I", "DINO", "attribute kept",
    "training, min", "whole run, min", "originals", "network forwards", "backwards",
)  # fmt: skip


def _reduction(
    name: str, runs: Sequence[FinishedRun], goal: Goal, resamples: int
) -> tuple[Interval, Interval, Interval]:
    rng = figure_rng(name, goal.group, goal.family or "")
    return reduction_over_seeds(runs, goal.group, family=goal.family, rng=rng, resamples=resamples)


def _bias_table(groups: Mapping[str, Sequence[FinishedRun]], resamples: int) -> str:
    rows = []
    for name, runs in groups.items():
        for goal in goals_of(runs):
            base, after, gone = _reduction(name, runs, goal, resamples)
            paper = "" if goal.before is None else f"{goal.before:.2f} → {goal.after:.2f}"
            known = not np.isnan(goal.reduction)
            rows.append(
                (
                    name,
                    str(len(runs)),
                    label_of(goal.group) + (f", {goal.family}" if goal.family else ""),
                    cell(base),
                    cell(after),
                    number(_floor(runs, goal.group)),
                    cell(gone, as_percent=True),
                    _floor_removed(runs, goal),
                    paper,
                    f"≥ {percent(goal.reduction)} ({goal.source})" if known else "",
                    _verdict(gone.estimate, goal) if known else "",
                )
            )
    return table(BIAS_HEAD, rows)


def _verdict(gone: float, goal: Goal) -> str:
    missing = goal.reduction - gone
    if missing <= 0:
        return "met"
    points = round(100 * missing)
    short = {0: "less than a point", 1: "1 point"}.get(points, f"{points} points")
    return f"**short by {short}**"


def _floor(runs: Sequence[FinishedRun], group: str) -> float:
    """Of the held-out prompts; other families have as many images a prompt."""
    return float(np.mean([r.evaluation["aligned"][group]["fair_floor"] for r in runs]))


def _floor_removed(runs: Sequence[FinishedRun], goal: Goal) -> str:
    if goal.family:
        floor = _floor(runs, goal.group)
        return cell(floor_removed(runs, goal.group, goal.family, floor), as_percent=True)
    found = [run.evaluation["change"][goal.group]["reduction_to_floor"] for run in runs]
    return "" if None in found else cell(seed_mean(found), as_percent=True)


def _targets(runs: Sequence[FinishedRun]) -> Iterator[tuple[str, str, float]]:
    """Classes of aligned attributes whose target is not uniform: the last class of each."""
    target = runs[0].evaluation["target"]
    for attribute in runs[0].params["finetune"]["align"]:
        shares = dict(target[attribute])
        if max(shares.values()) - min(shares.values()) > 1e-9:
            last = list(shares)[-1]
            yield attribute, last, float(shares[last])


def _share_rows(
    groups: Mapping[str, Sequence[FinishedRun]], resamples: int
) -> Iterator[tuple[str, ...]]:
    for name, runs in groups.items():
        for attribute, cls, target in _targets(runs):
            base, after = interval_of_share(
                runs, attribute, cls, rng=figure_rng(name, attribute, cls), resamples=resamples
            )
            paper = (
                f"{TABLE_5['original']:.3f} → {TABLE_5['with age']:.3f} (Table 5)"
                if (attribute, cls) == ("age", "old")
                else ""
            )
            far = abs(after.estimate - target)
            verdict = "met" if far <= SHARE_ALLOWED else f"**off by {far:.3f}**"
            yield (
                name, str(len(runs)), cls, cell(base), cell(after),
                f"{target:.2f} ± {SHARE_ALLOWED}", paper, verdict,
            )  # fmt: skip


def _cost(name: str, runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    aligned = [run.evaluation["aligned"] for run in runs]
    change = [run.evaluation["change"]["clip_t"]["difference"] for run in runs]
    named = [run.evaluation["named"]["aligned"] for run in runs if run.evaluation["named"]]
    whole = [run.seconds for run in runs]
    return (
        name,
        str(len(runs)),
        cell(seed_mean(change)),
        cell(seed_mean([entry["clip_i"] for entry in aligned])),
        cell(seed_mean([entry["dino"] for entry in aligned])),
        cell(seed_mean(named)) if named else "",
        cell(seed_mean([run.training["seconds"] / 60 for run in runs]), digits=1),
        "" if None in whole else cell(seed_mean([s / 60 for s in whole if s]), digits=1),
        ", ".join(sorted({run.params["finetune"].get("originals", "sampled") for run in runs})),
        *(
            f"{np.mean([run.training[f'network_{way}'] for run in runs]):,.0f}"
            for way in ("forwards", "backwards")
        ),
    )


def _shortfalls(groups: Mapping[str, Sequence[FinishedRun]], resamples: int) -> str:
    lines = []
    for name, runs in groups.items():
        for goal in goals_of(runs):
            base, _, gone = _reduction(name, runs, goal, resamples)
            if gone.estimate < goal.reduction:
                within = "inside" if gone.high >= goal.reduction else "outside"
                best = 1 - _floor(runs, goal.group) / base.estimate
                lines.append(
                    f"- **{name}**, {label_of(goal.group)}"
                    + (f" of {goal.family} prompts" if goal.family else "")
                    + f": {percent(gone.estimate)} of the bias is gone, {goal.source} asks for "
                    f"{percent(goal.reduction)}; that lies {within} the interval. With so "
                    f"many images a perfectly fair sampler would show {percent(best)}."
                )
        change = float(np.mean([run.evaluation["change"]["clip_t"]["difference"] for run in runs]))
        if abs(change) > CLIP_T_ALLOWED:
            lines.append(
                f"- **{name}**, CLIP-T: changed by {number(change)}; at most {CLIP_T_ALLOWED} "
                "was allowed."
            )
        named = [run.evaluation["named"] for run in runs if run.evaluation["named"]]
        # None where the base itself never gives what is asked for.
        ratios = [one["ratio"] for one in named if one["ratio"] is not None]
        if ratios and np.mean(ratios) < KEPT_ASKED:
            lines.append(
                f"- **{name}**, prompts that name an attribute: it is drawn "
                f"{number(float(np.mean(ratios)), 3)} times as often as by the base; "
                f"{KEPT_ASKED:.3f} was asked for."
            )
        for attribute, cls, target in _targets(runs):
            after = interval_of_share(
                runs, attribute, cls, rng=figure_rng(name, attribute, cls), resamples=resamples
            )[1]
            if abs(after.estimate - target) > SHARE_ALLOWED:
                lines.append(
                    f"- **{name}**, share of {cls}: {number(after.estimate)} where {target:.2f} ± "
                    f"{SHARE_ALLOWED} was asked for."
                )
    return "\n".join(lines)
