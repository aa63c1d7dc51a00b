"""What each process of test_distributed runs; the first prints what all have found."""

from __future__ import annotations

import json
import sys

import torch

from fairness_core.runtime.distributed import World


def main() -> None:
    torch.set_num_threads(1)
    world = World("cpu")
    mine = world.shard(5)
    rows = torch.tensor([[float(i), i / 3] for i in mine])
    flags = torch.tensor([i % 2 == 0 for i in mine])
    empty = torch.zeros((0, 3)) if world.is_main else torch.ones((2, 3))
    a, b, n = torch.full((2, 2), 1.5 + world.rank), torch.ones(3), torch.tensor([world.rank + 1])
    world.sum_([a, n, b])
    world.barrier()
    found = {
        "size": world.size,
        "shard": list(mine),
        "rows": world.gather_rows(rows).tolist(),
        "flags": world.gather_rows(flags).tolist(),
        "doubles": world.gather_rows(rows[:, 0].double()).tolist(),
        "ragged": world.gather_rows(empty).tolist(),
        "none": list(world.gather_rows(torch.zeros((0, 4))).shape),
        "half": str(world.gather_rows(rows.half()).dtype),
        "sum": [a.tolist(), b.tolist(), n.tolist()],
        "mlflow": "mlflow" in sys.modules,
    }
    sys.stdout.write(f"RANK{world.rank}={json.dumps(found)}\n")
    world.close()


if __name__ == "__main__":
    main()
