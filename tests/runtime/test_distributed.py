from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fairness_core.errors import ConfigError
from fairness_core.runtime.distributed import World


def test_one_process_is_the_identity_and_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = World("cpu")
    assert (world.rank, world.size, world.is_main) == (0, 1, True)
    assert world.device == torch.device("cpu")
    assert world.shard(5) == range(5)
    rows = torch.randn((3, 2), generator=torch.Generator().manual_seed(0), requires_grad=True)
    assert torch.equal(world.gather_rows(rows), rows)
    assert not world.gather_rows(rows).requires_grad
    values = torch.ones(2)
    world.sum_([values])
    assert torch.equal(values, torch.ones(2))
    world.barrier()
    world.close()
    assert not torch.distributed.is_initialized()


@pytest.mark.parametrize(("n", "size"), [(0, 3), (2, 3), (16, 3), (24, 8), (7, 2)])
def test_shards_are_a_partition_into_nearly_equal_parts(n, size):
    world = World("cpu")
    world.size = size
    parts = []
    for world.rank in range(size):
        parts.append(world.shard(n))
    assert [i for part in parts for i in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_processes(repository):
    """Over gloo, as torchrun starts them."""
    worker = Path(__file__).with_name("distributed_worker.py")
    result = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run"),
            *("--nproc_per_node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"),
            *("--local-addr", "127.0.0.1", str(worker)),
        ],
        env=os.environ | {"PYTHONPATH": str(repository), "GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert result.returncode == 0, result.stderr
    found = {
        int(rank): json.loads(text)
        for rank, text in re.findall(r"RANK(\d)=(\{.*\})", result.stdout)
    }
    assert sorted(found) == [0, 1]
    assert [found[rank].pop("shard") for rank in (0, 1)] == [[0, 1], [2, 3, 4]]
    assert found[0] == found[1]
    third = [[float(i), torch.tensor(i / 3).item()] for i in range(5)]
    assert found[0] == {
        "size": 2,
        "rows": third,
        "flags": [True, False, True, False, True],
        "doubles": [0.0, 1.0, 2.0, 3.0, 4.0],
        "ragged": [[1.0] * 3] * 2,
        "none": [0, 4],
        "half": "torch.float16",
        "sum": [[[4.0, 4.0]] * 2, [2.0] * 3, [3]],
        "mlflow": False,
    }


def test_processes_that_do_not_meet_are_an_error(monkeypatch):
    class Alone:
        num_processes = 1

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.Accelerator", lambda cpu: Alone())
    with pytest.raises(ConfigError, match="2 processes were asked for and 1 met"):
        World("cpu")
