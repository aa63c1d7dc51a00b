"""Network calls, seconds and peak memory of an iteration: the published step, and ours.

Run from the repository's root: ``python -m benchmarks.step``. One process, one batch, one model;
the variants take turns. ``reference`` is ``reference_step``; the others are ``training_step`` with
every step's gradient, with K of S, with the originals from a store, and with the text branch alone.
What is faster is told by the process's own seconds on a CPU and by the clock on a GPU, where this
has not run.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import DEVICES, MIB, clock, in_turns, peak_bytes, save, say
from benchmarks.portraits import PROMPT, clear_gradient, iterate, portraits
from benchmarks.reference_step import counted, reference_step
from fairness_core.runtime.seeds import generator, image_noise
from fairness_core.training import original_latents


def main() -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16, help="N")
    parser.add_argument("--steps", type=int, default=21, help="S")
    parser.add_argument("--chosen", type=int, default=5, help="K")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--name", default="step", help="of the file of figures")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    n, steps = arguments.images, arguments.steps
    changes = [*arguments.set, f"run.threads={arguments.threads}", f"finetune.batch_size={n}"]
    changes.append(f"run.device={arguments.device}")
    _, models, settings, _ = portraits(arguments.artifacts, changes)
    stack, device = models.stack, models.stack.device
    noise = image_noise("benchmark", [PROMPT] * n, list(range(n)), stack.latent_shape).to(device)
    told = {"steps": steps, "guidance": settings.guidance, "batch_size": n}
    kept = original_latents(stack, PROMPT, noise, **told)
    common: dict[str, Any] = {"prompt": PROMPT, "noise": noise, "steps": steps}

    def reference(checkpoint: bool) -> Callable[[], object]:
        def run() -> None:
            clear_gradient(models)
            draws = generator("targets", PROMPT)
            reference_step(models, settings, **common, targets_from=draws, checkpoint=checkpoint)

        return run

    def ours(stored: bool = False, **how: Any) -> Callable[[], object]:
        def run() -> None:
            changed = dataclasses.replace(settings, **how)
            iterate(models, changed, noise, steps=steps, originals=kept if stored else None)

        return run

    few = {"gradient_steps": arguments.chosen}
    work = {
        "reference": reference(True),
        "all steps": ours(gradient_steps=None),
        f"K = {arguments.chosen}": ours(**few),
        f"K = {arguments.chosen}, stored originals": ours(True, **few),
        f"K = {arguments.chosen}, stored, text branch": ours(True, **few, guided_gradient="text"),
    }
    rows = {}
    for name, run in {**work, "reference, no checkpointing": reference(False)}.items():
        with counted(models) as calls:
            run()
        peak = peak_bytes(run, device)
        rows[name] = {
            "forwards": calls.forwards / n,
            "backwards": calls.backwards / n,
            "peak_mib": peak / MIB,
        }
    for name, times in in_turns(work, arguments.rounds, device=device, warm=False).items():
        rows[name] |= times
    base, unit = rows["reference"], clock(device)
    say(f"{'':36} {'calls':>9} {'CPU s':>7} {'wall s':>7} {'faster':>7} {'MiB':>8} {'of ref':>7}")
    for name, row in rows.items():
        row["peak_share"] = row["peak_mib"] / base["peak_mib"]
        times = " " * 24
        if unit in row:
            row["times_faster"] = base[unit] / row[unit]
            times = f"{row['cpu_seconds']:7.2f} {row['seconds']:7.2f} {row['times_faster']:6.2f}x "
        say(
            f"{name:36} {row['forwards']:4.0f}/{row['backwards']:<4.0f} {times}"
            f"{row['peak_mib']:8.1f} {row['peak_share']:7.2f}"
        )
    told = {"gradient_choice": settings.gradient_choice, "threads": torch.get_num_threads()}
    told["compared"] = unit
    save(arguments.name, {"images": n, "steps": steps, **told, "rows": rows}, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
