"""Held-out bias of experiments against what their training took, and less that of the first.

``python -m benchmarks.bias_against_compute --run runs``, from the repository's root, runs what is
missing of ``bias_rows.ROWS`` with each of ``--seeds``, as ``evenhand experiments`` does and in
its folders (hours; what is finished is skipped, and what was stopped goes on), then tabulates and
draws. ``--only NAME`` leaves out all rows but the first and those named. On folders that
``evenhand experiments`` wrote: ``python -m benchmarks.bias_against_compute runs/A runs/B``.

Differences are paired by seed and prompt, their interval is of a bootstrap over both; seeds that
only one of the two has are left out. Network calls are those of an image and iteration with the
originals stored beforehand, and of the whole training; the seconds of an iteration are measured by
``benchmarks.step``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.bias_rows import Runner, chosen, experiments_of, run_rows
from benchmarks.measure import save, say
from benchmarks.plots import figure, write
from components.experiments import run_experiment
from components.pricing import calls_per_image
from fairness_core.config import Finetune
from fairness_core.groups import group_name
from fairness_core.reporting import FinishedRun, find_runs, read_run
from fairness_core.reporting.results import resampled_means
from fairness_core.runtime import configure
from fairness_core.runtime.seeds import seed_for

RESAMPLES = 5000


def biases(run: FinishedRun, group: str) -> pd.Series:
    """The aligned model's bias of every held-out prompt."""
    rows = run.prompts
    rows = rows[(rows["attribute"] == group) & (rows["model"] == "aligned")]
    rows = rows[rows["split"] == run.params["evaluate_bias"]["split"]]
    return rows.set_index("prompt_id")["bias"].dropna()


def difference(
    ours: Mapping[int, FinishedRun], theirs: Mapping[int, FinishedRun], group: str
) -> tuple[float, float, float]:
    """Mean over shared seeds and prompts of bias of ours less theirs, with its 95 % interval."""
    parts = [
        pd.concat([biases(ours[seed], group), biases(theirs[seed], group)], axis=1, join="inner")
        for seed in sorted(set(ours) & set(theirs))
    ]
    shared = sorted(set.intersection(*(set(part.index) for part in parts)))
    values = np.stack([part.loc[shared].to_numpy() for part in parts])
    rng = np.random.default_rng(seed_for("paired-bias", group))
    drawn = resampled_means(values, rng, RESAMPLES)
    low, high = np.percentile(drawn[:, 0] - drawn[:, 1], [2.5, 97.5])
    mean = values.mean(axis=(0, 1))
    return float(mean[0] - mean[1]), float(low), float(high)


def calls(run: FinishedRun) -> dict[str, float]:
    """Network calls of the training, per image and iteration and in all."""
    section = Finetune.model_validate({**run.params["finetune"], "originals": "stored"})
    forwards, backwards = calls_per_image(section)
    images = section.images_per_prompt * run.training["iterations"]
    return {
        "forwards_per_image": forwards,
        "backwards_per_image": backwards,
        "calls": (forwards + backwards) * images,
    }


def draw(rows: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Bias against network calls in training: each seed, and the mean."""
    drawing = figure(8, 4.5)
    axes = drawing.subplots()
    for name, row in rows.items():
        calls, found = row["calls"] / 1000, list(row["biases"].values())
        line = axes.plot([calls] * len(found), found, ".", alpha=0.5)[0]
        axes.plot(calls, np.mean(found), "o", color=line.get_color(), label=name)
    floor = np.mean([row["fair_floor"] for row in rows.values()])
    axes.axhline(floor, color="gray", linestyle="--", label="a perfectly fair sampler")
    most = max(row["calls"] for row in rows.values()) / 1000
    axes.set(xlim=(0, 1.05 * most), xlabel="network calls in training, thousands")
    axes.set(ylim=(0, None), ylabel="held-out bias: each seed, and the mean")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.3))
    write(drawing, path)


def read(folder: Path, seeds: Sequence[int] | None = None) -> dict[int, FinishedRun]:
    """Finished runs of an experiment by seed; of these seeds alone if they are given."""
    runs = {run.seed: run for run in map(read_run, find_runs([folder]))}
    return {seed: run for seed, run in runs.items() if seeds is None or seed in seeds}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders", nargs="*", type=Path, help="of experiments; the first is the measure"
    )
    parser.add_argument("--label", action="append", default=[], help="of each, in their order")
    parser.add_argument("--name", default="bias_against_compute", help="of the files of figures")
    parser.add_argument("--run", type=Path, metavar="OUT", help="run the rows in this folder first")
    parser.add_argument("--seeds", default="0,1,2", help="with --run")
    parser.add_argument("--only", action="append", default=[], help="with --run: name of a row")
    parser.add_argument("--set", action="append", default=[], help="with --run: SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    if bool(arguments.folders) == bool(arguments.run):
        parser.error("give folders, or --run")
    return arguments


def main(runner: Runner = run_experiment) -> int:
    """Print a line for each experiment, write and draw them."""
    arguments, seeds = parse(), None
    if arguments.run:
        configure("experiments")
        seeds = [int(seed) for seed in arguments.seeds.split(",")]
        rows_of = experiments_of(chosen(arguments.only), Path("presets"), arguments.set)
        arguments.folders = run_rows(rows_of, seeds, arguments.run, runner)
        arguments.label = list(rows_of)
    found = [read(folder, seeds) for folder in arguments.folders]
    group = group_name(next(iter(found[0].values())).params["finetune"]["align"][:2])
    rows: dict[str, dict[str, Any]] = {}
    names = arguments.label or [folder.name for folder in arguments.folders]
    for name, runs in zip(names, found, strict=True):
        row: dict[str, Any] = {
            "biases": {s: run.evaluation["aligned"][group]["bias"] for s, run in runs.items()},
            "fair_floor": float(
                np.mean([run.evaluation["aligned"][group]["fair_floor"] for run in runs.values()])
            ),
            "less_the_first": difference(runs, found[0], group),
            "iterations": next(iter(runs.values())).training["iterations"],
        }
        taken = pd.DataFrame(map(calls, runs.values())).mean()
        row |= {str(key): float(value) for key, value in taken.items()}
        rows[name] = row
        mean, low, high = row["less_the_first"]
        say(
            f"{name}: {group} "
            + " ".join(f"{bias:.3f}" for bias in row["biases"].values())
            + f"; less the first {mean:+.3f} [{low:+.3f}, {high:+.3f}]; calls per image "
            f"{row['forwards_per_image']:.0f}/{row['backwards_per_image']:.0f}, "
            f"{row['calls'] / 1000:.0f} thousand in all"
        )
    written = save(arguments.name, {"group": group, "rows": rows})
    draw(rows, written.with_suffix(".svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
