from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from fairness_core.runtime.files import read_table
from tests.helpers.close import EXACT, FLOAT32_SUM, assert_close
from tests.helpers.tiny_world import TinyWorld, write_params

MODULE = ["-m", "components.finetune.main"]
TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    tiny_world: TinyWorld,
    finetune_arguments: Callable[[Path, Path], list[str]],
    repository: Path,
    tmp_path: Path,
) -> None:
    """The command line itself, once plainly and once under torchrun; five images: three and two."""
    params = write_params(
        tmp_path / "params.yaml",
        repository,
        tiny_world,
        iterations=3,
        images_per_prompt=5,
        checkpoint_every=2,
    )
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo"}
    processes = {}
    for name, start in {"one": MODULE, "two": TWO + MODULE}.items():
        folder = tmp_path / name
        folder.mkdir()
        processes[name] = subprocess.Popen(
            [sys.executable, *start, *finetune_arguments(params, folder)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    logs = {name: process.communicate(timeout=110)[0] for name, process in processes.items()}
    for name, process in processes.items():
        assert process.returncode == 0, logs[name]
    assert "1 processes" in logs["one"]
    assert "2 processes" in logs["two"]

    tables = {n: read_table(tmp_path / n / "output" / "log.parquet") for n in processes}
    for column in ("face_rate", "network_forwards", "network_backwards", "used_gender"):
        assert_close(tables["two"][column], tables["one"][column], EXACT)
    assert (tables["one"]["face_rate"] > 0).any()
    for column in ("loss_total", "gradient_norm"):
        assert_close(tables["two"][column], tables["one"][column], FLOAT32_SUM)
    for file in ("live.safetensors", "ema.safetensors"):
        weights = {n: load_file(tmp_path / n / "output" / file) for n in processes}
        for key, value in weights["one"].items():
            distance = float((weights["two"][key] - value).norm() / value.norm())
            assert distance <= FLOAT32_SUM.relative, (file, key, distance)
