"""Finetuning by two containers that share nothing but a network and the workspace."""

from __future__ import annotations

import shutil
import subprocess
import uuid

import pytest
from safetensors.torch import load_file

from fairness_core.runtime.files import read_table
from tests.helpers.close import EXACT, FLOAT32_SUM, TRAINED, assert_close

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

TORCHRUN = (
    "python3 -m torch.distributed.run --nnodes 2 --nproc-per-node 1 --node-rank {rank} "
    "--master-addr {first} --master-port 29500 -m components.finetune.main "
    "--params params.yaml --prompts artifacts/prompts --classifiers artifacts/classifiers "
    "--bank artifacts/bank --checkpoints /out/checkpoints --out /out/finetune "
    "--metrics /out/metrics.json"
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


def test_two_nodes_train_what_one_process_does(image, plain, network, tmp_path):
    given, out = tmp_path / "in", tmp_path / "out"
    for part in ("prompts", "classifiers", "bank"):
        shutil.copytree(plain / "artifacts" / part, given / "artifacts" / part)
    shutil.copy(plain / "params.yaml", given)
    out.mkdir()
    for path in (out, given, *given.rglob("*")):
        shutil.chown(path, 10001, 10001)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    names = [f"{network}-{rank}" for rank in range(2)]
    try:
        for rank, name in enumerate(names):
            docker(
                "run", "--detach", "--name", name, "--network", network,
                "--user", "10001:10001", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
                "--security-opt", "no-new-privileges", "--workdir", "/in",
                "--env", "GLOO_SOCKET_IFNAME=eth0", "--env", "OMP_NUM_THREADS=1",
                "--mount", f"type=bind,src={given},dst=/in,readonly",
                "--mount", f"type=bind,src={out},dst=/out",
                image, *TORCHRUN.format(rank=rank, first=names[0]).split(),
            )  # fmt: skip
        ended = docker("wait", *names).split()
        logs = [docker("logs", name) for name in names]
    finally:
        docker("rm", "--force", *names, check=False)
    assert ended == ["0", "0"], "\n\n".join(logs)
    assert "2 processes" in logs[0]

    one, two = plain / "artifacts/finetune", out / "finetune"
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
