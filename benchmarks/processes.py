"""Data parallel from one process to several: images per second and equality of the result.

Run from the repository's root: ``python -m benchmarks.processes``. It trains the default run for a
few iterations alone, then under torchrun, each process on the CPU with one thread and its share of
the batch, and compares the time of an iteration and the trained weights.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from safetensors.torch import load_file

from benchmarks.measure import save, say
from fairness_core.runtime.artifacts import read_table

RUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")


def train(processes: int, folder: Path, artifacts: Path, changes: list[str]) -> pd.DataFrame:
    """The run's log, a row for each iteration."""
    start = ["-m", "components.finetune.main"]
    if processes > 1:
        start = [*RUN, str(processes), *start]
    words = [f"--{k}={artifacts / v}" for k, v in {"prompts": "prompts", "bank": "bank"}.items()]
    words += [f"--classifiers={artifacts / 'classifiers'}", f"--out={folder / 'output'}"]
    words += [f"--checkpoints={folder / 'checkpoints'}", f"--metrics={folder / 'metrics.json'}"]
    words += [word for change in changes for word in ("--set", change)]
    subprocess.run(
        [sys.executable, *start, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        check=True,
        capture_output=True,
    )
    return read_table(folder / "output" / "log.parquet")


def main() -> int:
    """Print and write the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--iterations", type=int, default=6)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    iterations = arguments.iterations
    changes = [*arguments.set, "run.threads=1", "run.tracking=false", "run.device=cpu"]
    changes += [f"finetune.iterations={iterations}"]
    changes += [f"finetune.images_per_prompt={arguments.images}"]
    changes += [f"finetune.checkpoint_every={iterations}"]
    medians, weights, first = {}, {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for processes in (1, arguments.processes):
            place = Path(folder, str(processes))
            log = train(processes, place, arguments.artifacts, changes)
            # The first iteration allocates.
            medians[processes] = statistics.median(log["seconds"][1:])
            first[processes] = log.loc[0, ["loss_total", "gradient_norm"]].to_numpy(float)
            weights[processes] = load_file(place / "output" / "live.safetensors")
            rate = arguments.images / medians[processes]
            say(f"{processes} processes: {medians[processes]:.2f} s an iteration, {rate:.1f} img/s")
    one, many = weights[1], weights[arguments.processes]
    # Of the same weights. Adam then moves an element whose gradient is all rounding by the whole
    # rate, and an image may cross a threshold: what is trained drifts further apart than that.
    start = float(abs(first[arguments.processes] / first[1] - 1).max())
    distance = max(float((many[k] - v).norm() / v.norm()) for k, v in one.items())
    ratio = medians[1] / medians[arguments.processes]
    say(f"x{ratio:.2f} images/s; relative difference of the first loss and gradient {start:.1e}")
    say(f"after {iterations} iterations, of the weight tensor that differs most {distance:.1e}")
    figures = {"seconds": medians, "times_faster": ratio, "first_difference": start}
    figures["weight_difference"] = distance
    save("processes", {"images": arguments.images, **figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
