"""What the transport targets ask of a batch whose shares are a little off, by threshold C.

Run from the repository's root: ``python -m benchmarks.target_flow``. One of four classes has a
share below its quarter; images are drawn from such shares, seen by a classifier that is mostly
sure, and given targets. *Flow* is the share of images that targets move into that class, less those
they move out of it: what is asked back of the share that is missing. Where it is far below its own
spread over batches, training has nothing to go by and stops there.
"""

from __future__ import annotations

import argparse
import statistics
import sys

import torch
from torch import Tensor

from benchmarks.measure import save, say
from benchmarks.transport import even_classes
from fairness_core.alignment import make_targets

CLASSES = 4
IMAGES = (24, 32, 64)
THRESHOLDS = (0.8, 0.65, 0.5)
SHARES = (0.15, 0.20, 0.225)


def seen(n: int, share: float, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Classes of a batch, and probabilities: 90 % of rows are sure to 0.8 or more."""
    shares = torch.tensor([share, *[(1 - share) / (CLASSES - 1)] * (CLASSES - 1)])
    classes = torch.multinomial(shares, n, replacement=True, generator=source)
    logits = 1.5 * torch.randn(n, CLASSES, generator=source)
    margin = 1 + 7 * torch.rand(n, generator=source)
    logits[torch.arange(n), classes] = logits.max(dim=1).values + margin
    return classes, logits.softmax(dim=1)


def flow(n: int, threshold: float, share: float, rounds: int) -> dict[str, float]:
    """Mean and spread over batches."""
    space = even_classes(CLASSES)
    source, flows = torch.Generator().manual_seed(0), []
    for _ in range(rounds):
        classes, probabilities = seen(n, share, source)
        given = make_targets(
            {"class": probabilities},
            torch.ones(n, dtype=torch.bool),
            space,
            confidence=threshold,
            generator=source,
        )["class"]
        moved = given.active & (given.labels != classes)
        into, out = moved & (given.labels == 0), moved & (classes == 0)
        flows.append(float(into.sum() - out.sum()) / n)
    return {"flow": statistics.fmean(flows), "spread": statistics.stdev(flows)}


def main() -> int:
    """Print a table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    say("   N    C" + "".join(f"share {s:g}".rjust(18) for s in SHARES))
    rows = []
    for n in IMAGES:
        for threshold in THRESHOLDS:
            found = [flow(n, threshold, share, arguments.rounds) for share in SHARES]
            cells = [f"{f['flow']:.3f} +- {f['spread']:.3f}".rjust(18) for f in found]
            say(f"{n:4d} {threshold:4.2f}" + "".join(cells))
            rows += [
                {"images": n, "confidence": threshold, "share": share, **f}
                for share, f in zip(SHARES, found, strict=True)
            ]
    save("target_flow", {"rounds": arguments.rounds, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
