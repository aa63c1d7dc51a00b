from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from components.finetune.main import main
from fairness_core.runtime.files import read_table
from tests.helpers.close import EXACT, FLOAT32_SUM, TRAINED, assert_close
from tests.helpers.tiny_world import TinyWorld, write_params

TORCHRUN = [
    *("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
    *("-m", "components.finetune.main"),
]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_train_what_one_does(
    tiny_world: TinyWorld,
    finetune_arguments: Callable[[Path, Path], list[str]],
    repository: Path,
    tmp_path: Path,
) -> None:
    """The command line, once here and once under torchrun, in the case with most to exchange.

    Of five images one process has two, and each has as many rows as it finds faces. What has less
    to exchange runs in threads in ``tests/training``.
    """
    params = write_params(
        tmp_path / "params.yaml",
        repository,
        tiny_world,
        iterations=3,
        images_per_prompt=5,
        checkpoint_every=2,
        lambda_face=0.5,
        faces="all",
    )
    folders = {name: tmp_path / name for name in ("one", "two")}
    assert main(finetune_arguments(params, folders["one"])) == 0
    done = subprocess.run(
        [sys.executable, *TORCHRUN, *finetune_arguments(params, folders["two"])],
        cwd=tmp_path,
        env=os.environ | {"GLOO_SOCKET_IFNAME": "lo"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stderr
    assert "Loading weights" not in done.stderr  # settings made after its import

    tables = {n: read_table(place / "output" / "log.parquet") for n, place in folders.items()}
    for column in ("face_rate", "network_forwards", "network_backwards", "used_gender"):
        assert_close(tables["two"][column], tables["one"][column], EXACT)
    assert (tables["one"]["face_rate"] > 0).any()
    assert (tables["one"]["loss_face"] != 0).any()
    for column in ("loss_total", "gradient_norm"):
        assert_close(tables["two"][column], tables["one"][column], FLOAT32_SUM)
    for file in ("live.safetensors", "ema.safetensors"):
        weights = {n: load_file(place / "output" / file) for n, place in folders.items()}
        for key, value in weights["one"].items():
            distance = float((weights["two"][key] - value).norm() / value.norm())
            assert distance <= TRAINED.relative, (file, key, distance)
