"""Held-out bias of experiments less that of the first, paired by seed and prompt, and their calls.

Run from the repository's root on folders that ``evenhand experiments`` wrote:
``python -m benchmarks.paired_bias runs/A runs/B``. The interval is of a bootstrap over seeds and
prompts, the same for both; seeds that only one of the two has are left out.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.measure import save, say
from fairness_core.groups import group_name
from fairness_core.reporting import FinishedRun, find_runs, read_run
from fairness_core.reporting.results import resampled_means
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


def main() -> int:
    """Print a line for each experiment and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders", nargs="+", type=Path, help="of experiments; the first is the measure"
    )
    parser.add_argument("--name", default="paired_bias", help="of the file of figures")
    arguments = parser.parse_args()
    found = [
        {run.seed: run for run in map(read_run, find_runs([folder]))}
        for folder in arguments.folders
    ]
    group = group_name(next(iter(found[0].values())).params["finetune"]["align"][:2])
    rows = {}
    for folder, runs in zip(arguments.folders, found, strict=True):
        images = {seed: run.params["finetune"]["images_per_prompt"] for seed, run in runs.items()}
        visited = {seed: run.training["iterations"] * images[seed] for seed, run in runs.items()}
        row = {
            "biases": {s: run.evaluation["aligned"][group]["bias"] for s, run in runs.items()},
            "less_the_first": difference(runs, found[0], group),
        }
        for way in ("forwards", "backwards"):
            calls = [run.training[f"network_{way}"] / visited[s] for s, run in runs.items()]
            row[f"{way}_per_image"] = float(np.mean(calls))
        rows[folder.name] = row
        mean, low, high = row["less_the_first"]
        say(
            f"{folder.name}: {group} "
            + " ".join(f"{bias:.3f}" for bias in row["biases"].values())
            + f"; less the first {mean:+.3f} [{low:+.3f}, {high:+.3f}]; calls per image "
            f"{row['forwards_per_image']:.0f}/{row['backwards_per_image']:.0f}"
        )
    save(arguments.name, {"group": group, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
