"""Held-out bias against compute: what each way to save network calls costs in bias.

Run from the repository's root: ``python -m benchmarks.bias_against_compute --seeds 0,1,2``; hours.
Every variant is the preset with single values laid over it, trained for each number of iterations
and evaluated by the driver of ``evenhand experiments``, which skips what is finished. Seconds
compare only where nothing else ran; network calls always do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import save, say
from components.experiments import Experiment, run_experiment
from components.stages import read_stages
from fairness_core.config import find_preset
from fairness_core.groups import group_name
from fairness_core.reporting import FinishedRun, read_run

# Values over the preset. Iterations of S and K: the published step's calls are 8 S + 2 S.
VARIANTS: dict[str, tuple[str, ...]] = {
    "every step, reference weights": (
        "finetune.gradient_steps=null",
        "finetune.gradient_weights=reference",
    ),
    "every step": ("finetune.gradient_steps=null",),
    "every step, unadjusted": (
        "finetune.gradient_steps=null",
        "finetune.gradient_weights=unadjusted",
    ),
    "every step, full gradient": (
        "finetune.gradient_steps=null",
        "finetune.gradient_weights=full",
    ),
    "K = 8": ("finetune.gradient_steps=8",),
    "K = 4": ("finetune.gradient_steps=4",),
    "K = 2": ("finetune.gradient_steps=2",),
    "K = 2, stratified": ("finetune.gradient_steps=2", "finetune.gradient_choice=stratified"),
    "K = 2, stratified, one set of noise": (
        "finetune.gradient_steps=2",
        "finetune.gradient_choice=stratified",
        "finetune.noise_sets=1",
    ),
    "K = 4, text branch": ("finetune.gradient_steps=4", "finetune.guided_gradient=text"),
    "K = 4, S = 6": ("finetune.gradient_steps=4", "finetune.steps=[5, 7]"),
    "K = 4, one set of noise": ("finetune.gradient_steps=4", "finetune.noise_sets=1"),
    "K = 4, two prompts for one": (
        "finetune.gradient_steps=4",
        "finetune.images_per_prompt=16",
    ),
}


def figures(run: FinishedRun, group: str, images: int) -> dict[str, Any]:
    """What a run cost and what it reached."""
    calls = run.training["network_forwards"], run.training["network_backwards"]
    visited = run.training["iterations"] * images
    aligned = run.evaluation["aligned"][group]
    return {
        "seed": run.seed,
        "bias": aligned["bias"],
        "floor": aligned["fair_floor"],
        "clip_i": run.evaluation["aligned"]["clip_i"],
        "forwards_per_image": calls[0] / visited,
        "backwards_per_image": calls[1] / visited,
        # A backward pass through frozen weights costs about as much as a forward one.
        "calls": sum(calls),
        "train_seconds": run.training["seconds"],
    }


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Mean bias over seeds against network calls, a line for each variant."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = sorted((r for r in rows if r["variant"] == name), key=lambda r: r["iterations"])
        calls = [statistics.mean(run["calls"] for run in row["runs"]) for row in own]
        biases = [[run["bias"] for run in row["runs"]] for row in own]
        means = [statistics.mean(values) for values in biases]
        spread = [max(values) - min(values) for values in biases]
        axes.errorbar(calls, means, yerr=[x / 2 for x in spread], marker="o", capsize=3, label=name)
    axes.set(xscale="log", xlabel="network calls in training", ylabel="held-out bias")
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def main() -> int:
    """Train, evaluate, print, write JSON and a drawing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="portraits-gender")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--iterations", default="40,90,180")
    parser.add_argument("--variants", default="", help="names, with ; between; all when empty")
    parser.add_argument("--out", type=Path, default=Path("artifacts/bias-against-compute"))
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE for all")
    arguments = parser.parse_args()
    stages = read_stages(Path("dvc.yaml"))
    preset = find_preset(Path("presets"), arguments.preset)
    rows = []
    wanted = [name.strip() for name in arguments.variants.split(";") if name.strip()]
    if unknown := set(wanted) - set(VARIANTS):
        parser.error(f"no such variants: {sorted(unknown)}; there are {sorted(VARIANTS)}")
    for name in wanted or VARIANTS:
        values = VARIANTS[name]
        for iterations in map(int, arguments.iterations.split(",")):
            label = "".join(c if c.isalnum() else "-" for c in f"{name}-{iterations}")
            # As many images for a variant with half of them a prompt.
            times = 2 if "two prompts" in name else 1
            over = (*arguments.set, *values, f"finetune.iterations={times * iterations}")
            experiment = Experiment(label, preset, (*over, "run.tracking=false"))
            runs = []
            for seed in map(int, arguments.seeds.split(",")):
                folder = run_experiment(
                    experiment,
                    seed,
                    arguments.out,
                    params=Path("params.yaml"),
                    stages=stages,
                    until="evaluate_bias",
                )
                run = read_run(folder)
                section = run.params["finetune"]
                group = group_name(section["align"])
                runs.append(figures(run, group, section["images_per_prompt"]))
                say(f"{name}, {iterations} iterations: {json.dumps(runs[-1])}")
            rows.append({"variant": name, "iterations": iterations, "runs": runs})
            save("bias_against_compute", {"preset": arguments.preset, "rows": rows})
            draw(rows, Path("docs/performance/bias_against_compute.svg"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
