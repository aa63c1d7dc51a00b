"""Seconds of the transport targets: N images, K classes, 200 draws.

Run from the repository's root: ``python -m benchmarks.transport``. On the CPU, where the step makes
targets whatever the device. Exit status 1 if N = 64 with K = 16 takes more than 50 ms of CPU.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch

from benchmarks.measure import save, say
from fairness_core.alignment import sampled_targets
from fairness_core.attributes import AttributeSpace

IMAGES = (8, 16, 32, 64, 128, 256, 512)
CLASSES = (2, 4, 8, 16, 32, 64)
LIMIT = 0.050


def even_classes(k: int) -> AttributeSpace:
    """One attribute of k classes, each to be as frequent."""
    return AttributeSpace.from_mapping(
        {"class": {"classes": [f"c{i}" for i in range(k)], "target": "uniform"}}
    )


def seconds(n: int, k: int, draws: int, rounds: int) -> float:
    """Least CPU seconds of one call, of images as a classifier sees them: sure of a few classes."""
    space = even_classes(k)
    source = torch.Generator().manual_seed(n * 100 + k)
    logits = 3 * torch.randn(n, k, generator=source) + torch.linspace(0, 2, k)
    taken = []
    for _ in range(rounds):
        generator = torch.Generator().manual_seed(0)
        began = time.process_time()
        sampled_targets({"class": logits.softmax(-1)}, space, draws=draws, generator=generator)
        taken.append(time.process_time() - began)
    return min(taken)


def main() -> int:
    """Print a table in ms and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    say("ms".rjust(6) + "".join(f"K = {k}".rjust(10) for k in CLASSES))
    table = {}
    for n in IMAGES:
        row = {k: seconds(n, k, arguments.draws, arguments.rounds) for k in CLASSES}
        say(f"N={n:4d}" + "".join(f"{1e3 * value:10.1f}" for value in row.values()))
        table[n] = row
    save("transport", {"draws": arguments.draws, "cpu_seconds": table})
    return int(table[64][16] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
