"""Finetuning by two containers that share nothing but a network and the workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from dataclasses import asdict
from pathlib import Path

import pytest
from safetensors.torch import load_file

from components.finetune.main import main
from fairness_core.runtime.files import read_table
from tests.helpers.close import EXACT, FLOAT32_SUM, TRAINED, assert_close
from tests.helpers.tiny_world import write_params

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

TORCHRUN = (
    "python3 -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --node-rank {rank} "
    "--master-addr {first} --master-port 29500 -m components.finetune.main"
)


def docker(*words, check=True):
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=1500)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def network():
    """A network of its own, that leads nowhere else."""
    name = f"evenhand-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", name)
    yield name
    docker("network", "rm", name, check=False)


def test_two_nodes_train_what_one_process_does(
    image, network, tiny_world, repository, finetune_arguments, tmp_path
):
    """Tiny models, as the test of two processes on one machine has them, with its tolerances.

    Of the portraits' models the size of a network call alone moves the first gradient by a
    thousandth, and AdamW's first steps make more of it: one process and two never make the same.
    """
    params = write_params(
        tmp_path / "params.yaml", repository, tiny_world,
        iterations=3, images_per_prompt=5, checkpoint_every=2, lambda_face=0.5,
    )  # fmt: skip
    places = {name: tmp_path / name for name in ("one", "two")}
    assert main(finetune_arguments(params, places["one"])) == 0
    out = places["two"]
    out.mkdir()
    world = Path(os.path.commonpath(list(asdict(tiny_world).values())))
    for path in (params, out, world, *world.rglob("*")):
        shutil.chown(path, 10001, 10001)
    names = [f"{network}-{rank}" for rank in range(2)]
    try:
        for rank, name in enumerate(names):
            docker(
                "run", "--detach", "--name", name, "--network", network,
                "--user", "10001:10001", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
                "--security-opt", "no-new-privileges",
                "--env", "GLOO_SOCKET_IFNAME=eth0", "--env", "OMP_NUM_THREADS=1",
                "--mount", f"type=bind,src={world},dst={world},readonly",
                "--mount", f"type=bind,src={params},dst={params},readonly",
                "--mount", f"type=bind,src={out},dst={out}",
                image, *TORCHRUN.format(rank=rank, first=names[0]).split(),
                *finetune_arguments(params, out),
            )  # fmt: skip
        ended = docker("wait", *names).split()
        logs = [docker("logs", name) for name in names]
    finally:
        docker("rm", "--force", *names, check=False)
    assert ended == ["0", "0"], "\n\n".join(logs)
    assert "2 processes" in logs[0]

    one, two = (place / "output" for place in places.values())
    tables = [read_table(place / "log.parquet") for place in (one, two)]
    for column in ("face_rate", "network_forwards", "network_backwards", "used_gender"):
        assert_close(tables[1][column], tables[0][column], EXACT)
    for column in ("loss_total", "gradient_norm"):
        assert_close(tables[1][column], tables[0][column], FLOAT32_SUM)
    for file in ("live.safetensors", "ema.safetensors"):
        weights = [load_file(place / file) for place in (one, two)]
        for key, value in weights[0].items():
            distance = float((weights[1][key] - value).norm() / value.norm())
            assert distance <= TRAINED.relative, (file, key, distance)
