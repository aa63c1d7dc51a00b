from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
@pytest.mark.parametrize("options", [{}, {"lambda_face": 0.5, "faces": "all"}])
def test_two_processes_train_what_one_does(
    tiny_world: TinyWorld,
    finetune_arguments: Callable[[Path, Path], list[str]],
    repository: Path,
    tmp_path: Path,
    options: dict[str, Any],
) -> None:
    """The command line, once here and once under torchrun; of five images one has two."""
    params = write_params(
        tmp_path / "params.yaml",
        repository,
        tiny_world,
        iterations=3,
        images_per_prompt=5,
        checkpoint_every=2,
        **options,
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

    tables = {n: read_table(place / "output" / "log.parquet") for n, place in folders.items()}
    for column in ("face_rate", "network_forwards", "network_backwards", "used_gender"):
        assert_close(tables["two"][column], tables["one"][column], EXACT)
    assert (tables["one"]["face_rate"] > 0).any()
    assert ("loss_face" in tables["one"]) == bool(options)
    for column in ("loss_total", "gradient_norm"):
        assert_close(tables["two"][column], tables["one"][column], FLOAT32_SUM)
    for file in ("live.safetensors", "ema.safetensors"):
        weights = {n: load_file(place / "output" / file) for n, place in folders.items()}
        for key, value in weights["one"].items():
            distance = float((weights["two"][key] - value).norm() / value.norm())
            assert distance <= TRAINED.relative, (file, key, distance)
