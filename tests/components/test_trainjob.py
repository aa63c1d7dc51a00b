"""Training on several nodes: what is asked of the cluster, and that nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.finetune import follow as following
from components.finetune.follow import follow
from components.finetune.launch import launch
from components.finetune.node import ABANDONED
from components.finetune.node import main as node
from components.finetune.trainer import CALLS, ClusterError
from components.finetune.trainjob import Owner, Plan, manifest
from fairness_core.errors import ConfigError
from pipelines.resources import Cluster, Images, Placement
from tests.components.fake_cluster import serving, strict
from tests.helpers.servers import free_port

OWNER = Owner("evenhand", "finetune-pod", "1234", "0123456789abcdef")
NAME = "evenhand-01234567-abc"


@pytest.fixture
def cluster():
    with serving() as fake:
        yield fake


def planned(**more):
    images = Images("registry.example/cpu@sha256:1", "registry.example/gpu@sha256:2")
    cluster = Cluster(gpu_type="a100", gpu_label="gpu", capacity="spot")
    placement = Placement("gpu", images, cluster, gpus=2, nodes=3)
    return Plan(**(placement._plan() | more))


@pytest.fixture
def plan(tmp_path):
    return planned(workspace=str(tmp_path / "workspace"))


def run(plan, tmp_path, lines=None):
    out = [].append if lines is None else lines.append
    follow(plan, OWNER, NAME, ["python"], tmp_path / "alive", every=0.01, out=out)


def test_the_body_is_what_the_published_models_take(monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    body = strict(manifest(planned(), OWNER, NAME, ["python", "-m", "x"]))
    trainer = body["spec"]["trainer"]
    assert body["spec"]["runtimeRef"]["name"] == "torch-distributed"
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 2)
    assert trainer["image"] == "registry.example/gpu@sha256:2"
    assert trainer["resourcesPerNode"]["limits"] == {
        "cpu": "16", "memory": "128Gi", "nvidia.com/gpu": "2",
    }  # fmt: skip
    assert body["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "evenhand"
    assert body["metadata"]["ownerReferences"][0]["uid"] == "1234"
    env = {one["name"]: one for one in trainer["env"]}
    assert env["MLFLOW_RUN_ID"]["value"] == "abc"
    assert "value" not in env["AWS_SECRET_ACCESS_KEY"]
    (job,) = body["spec"]["runtimePatches"][0]["trainingRuntimeSpec"]["template"]["spec"][
        "replicatedJobs"
    ]
    template = job["template"]["spec"]["template"]
    pod = template["spec"]
    assert pod["nodeSelector"] == {
        "evenhand.dev/pool": "gpu", "evenhand.dev/capacity": "spot", "gpu": "a100",
    }  # fmt: skip
    assert pod["securityContext"]["runAsUser"] == 10001
    assert {one["name"] for one in pod["volumes"]} == {
        one["name"] for one in pod["containers"][0]["volumeMounts"]
    }
    # Kueue queues the TrainJob as a whole; its pods have no queue of their own.
    assert "kueue.x-k8s.io/queue-name" not in template["metadata"]["labels"]


def test_a_training_is_followed_and_removed(cluster, plan, tmp_path):
    lines = []
    run(plan, tmp_path, lines)
    assert lines == ["one\n", "two\n", "three\n"]
    assert cluster.jobs == {NAME: cluster.made[0]}
    assert NAME in cluster.going
    assert set(cluster.calls) == set(CALLS)
    assert (tmp_path / "alive").exists()


def test_a_training_that_fails_says_why_and_is_removed(cluster, plan, tmp_path):
    cluster.ending = ("Failed", "node 1 ran out of memory")
    with pytest.raises(ClusterError, match=r"ran out of memory(.|\n)*node 1: three"):
        run(plan, tmp_path)
    assert NAME in cluster.going


def test_a_cancelled_run_takes_its_training_along(cluster, plan, tmp_path):
    cluster.looks = 10**6
    cluster.train = lambda _: os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        run(plan, tmp_path)
    assert NAME in cluster.going
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_an_earlier_attempt_left_goes_first(cluster, plan, tmp_path):
    cluster.jobs[NAME] = {"kind": "TrainJob"}
    cluster.slow_to_go = 3
    run(plan, tmp_path)
    verbs = [verb for _, resource, verb in cluster.calls if resource == "trainjobs"]
    assert verbs.index("delete") < verbs.index("create")
    assert verbs[: verbs.index("create")].count("get") == 5
    assert len(cluster.made) == 1


def test_one_that_does_not_go_is_an_error(cluster, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(following, "PATIENCE", 2)
    cluster.jobs[NAME] = {"kind": "TrainJob"}
    cluster.slow_to_go = 100
    with pytest.raises(ClusterError, match="of an earlier attempt does not end"):
        run(plan, tmp_path)
    assert cluster.made == []


def test_a_server_that_is_away_for_a_while_ends_nothing(cluster, plan, tmp_path, monkeypatch):
    cluster.behave["get", "pods/log"] = [500, 503]
    lines = []
    run(plan, tmp_path, lines)
    assert lines == ["one\n", "two\n", "three\n"]
    monkeypatch.setattr(following, "PATIENCE", 2)
    cluster.jobs.clear()
    cluster.going.clear()
    cluster.looks = 10**6
    cluster.behave["list", "pods"] = [500] * 5
    with pytest.raises(ClusterError, match="list the pods of the TrainJob: status 500"):
        run(plan, tmp_path)
    assert NAME in cluster.going


def test_a_training_that_somebody_removed_is_an_error(cluster, plan, tmp_path):
    cluster.train = lambda body: cluster.jobs.clear()
    with pytest.raises(ClusterError, match="removed by somebody else"):
        run(plan, tmp_path)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "make the TrainJob: status 403.*--service-account evenhand-runs"),
        (404, "install Kubeflow Trainer 2.2 or newer"),
        (422, "status 422.*the cluster says why"),
    ],
)
def test_a_cluster_that_refuses_is_one_message(cluster, plan, tmp_path, status, message):
    cluster.behave["create", "trainjobs"] = [status]
    with pytest.raises(ClusterError, match=message):
        run(plan, tmp_path)


def test_without_one_of_its_rights_it_fails(cluster, plan, tmp_path):
    cluster.rights = cluster.rights - {("trainer.kubeflow.org", "trainjobs", "create")}
    with pytest.raises(ClusterError, match="status 403.*cannot create trainjobs"):
        run(plan, tmp_path)


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A task's folders, and the variables that place its training on nodes."""
    for name in ("prompts", "classifiers", "bank"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(name)
    (tmp_path / "params.json").write_text("{}")
    plan = planned(workspace=str(tmp_path / "workspace"))
    monkeypatch.setenv("EVENHAND_TRAINJOB", json.dumps(plan.__dict__))
    for name, value in zip(("NAMESPACE", "POD_NAME", "POD_UID", "RUN"),
                           ("evenhand", "p", "1", "0123456789"), strict=True):  # fmt: skip
        monkeypatch.setenv(f"EVENHAND_{name}", value)
    monkeypatch.setattr(following, "EVERY", 0.01)
    words = [
        word
        for name in ("prompts", "classifiers", "bank", "checkpoints", "out")
        for word in (f"--{name}", str(tmp_path / name))
    ]
    params, metrics = tmp_path / "params.json", tmp_path / "m.json"
    return ["--part", "--params", str(params), *words, "--metrics", str(metrics)]


def options(body):
    words = body["spec"]["trainer"]["command"]
    return {name[2:]: Path(words[words.index(name) + 1]) for name in words if name[:2] == "--"
            if name != "--part"}  # fmt: skip


def test_nodes_read_what_the_task_reads_and_it_gets_what_they_wrote(cluster, task, tmp_path):
    def train(body):
        there = options(body)
        assert (there["bank"] / "manifest.json").read_text() == "bank"
        assert there["params"].read_text() == "{}"
        assert all(place.is_relative_to(tmp_path / "workspace") for place in there.values())
        there["out"].mkdir()
        (there["out"] / "ema.safetensors").write_bytes(b"weights")
        there["metrics"].write_text('{"iterations": 2}')

    cluster.train = train
    cluster.looks = 1
    assert launch(task) == 0
    assert (tmp_path / "out" / "ema.safetensors").read_bytes() == b"weights"
    assert json.loads((tmp_path / "m.json").read_text()) == {"iterations": 2}
    assert list((tmp_path / "workspace" / "trainjobs").iterdir()) == []


def test_a_training_that_wrote_nothing_is_an_error(cluster, task, capsys):
    cluster.looks = 1
    assert launch(task) == 1
    assert "error: The training has ended and not written" in capsys.readouterr().err


def test_the_same_training_has_the_same_name_and_checkpoints(cluster, task, tmp_path):
    cluster.looks = 1
    launch(task)
    launch(task)
    (tmp_path / "params.json").write_text('{"finetune": {}}')
    launch(task)
    one, two, three = cluster.made
    assert one["metadata"]["name"] == two["metadata"]["name"] != three["metadata"]["name"]
    assert options(one)["checkpoints"] == options(two)["checkpoints"]
    assert options(one)["checkpoints"] != options(three)["checkpoints"]


def test_a_task_without_its_pods_name_is_one_message(task, monkeypatch, capsys):
    monkeypatch.delenv("EVENHAND_POD_UID")
    assert launch(task) == 1
    assert "without EVENHAND_POD_UID" in capsys.readouterr().err
    monkeypatch.setenv("EVENHAND_TRAINJOB", '{"nodes": 2}')
    assert launch(task) == 1
    assert "The plan of a training is damaged" in capsys.readouterr().err


def test_processes_in_one_pod_are_torchruns(monkeypatch, capsys):
    seen = []

    def process(command, **_):
        seen.append(command)
        return type("Done", (), {"returncode": 7})

    monkeypatch.setenv("EVENHAND_PROCESSES", "4")
    monkeypatch.setattr("components.finetune.launch.subprocess.run", process)
    assert launch(["--part"]) == 7
    assert seen[0][1:] == [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=4",
        "-m", "components.finetune.main", "--part",
    ]  # fmt: skip
    monkeypatch.setenv("EVENHAND_PROCESSES", "many")
    assert launch([]) == 1
    assert "A number of processes is needed" in capsys.readouterr().err


def test_a_node_that_nobody_follows_gives_up(tmp_path, capsys):
    sleep = (sys.executable, "-c", "import time; time.sleep(60)")
    alive = tmp_path / "alive"
    alive.touch()
    assert node([str(alive)], command=sleep, silence=0.1, every=0.05) == ABANDONED
    assert "Nobody follows this training any more" in capsys.readouterr().err
    end = (sys.executable, "-c", "import sys; sys.exit(int(sys.argv[1]))")
    assert node([str(alive), "3"], command=end) == 3


MEET = """
import os, torch, torch.distributed as group
group.init_process_group("gloo")
total = torch.ones(1)
group.all_reduce(total)
open(os.environ["FOUND"] + os.environ["RANK"], "w").write(str(total.item()))
group.destroy_process_group()
"""
NODE = """
import sys
from components.finetune.node import main
torchrun = (sys.executable, "-m", "torch.distributed.run", sys.argv[2])
sys.exit(main(sys.argv[1:2], command=torchrun))
"""


@pytest.mark.integration
def test_two_nodes_meet_by_the_variables_that_trainer_sets(tmp_path, repository):
    (tmp_path / "meet.py").write_text(MEET)
    (tmp_path / "alive").touch()
    port = free_port()
    words = [sys.executable, "-c", NODE, str(tmp_path / "alive"), str(tmp_path / "meet.py")]
    trainer = {
        "PET_NNODES": "2", "PET_NPROC_PER_NODE": "2", "PET_MASTER_ADDR": "127.0.0.1",
        "PET_MASTER_PORT": str(port), "FOUND": str(tmp_path / "found"),
        "PYTHONPATH": str(repository),
    }  # fmt: skip
    nodes = [
        subprocess.Popen(words, env=os.environ | trainer | {"PET_NODE_RANK": rank}) for rank in "01"
    ]
    assert [one.wait(timeout=200) for one in nodes] == [0, 0]
    assert [(tmp_path / f"found{rank}").read_text() for rank in range(4)] == ["4.0"] * 4


def test_what_no_profile_can_do_is_refused():
    images = Images("a", "b")
    with pytest.raises(ConfigError, match="no GPUs"):
        Placement("cpu", images, gpus=2)
    with pytest.raises(ConfigError, match="share a PersistentVolumeClaim"):
        Placement("gpu", images, Cluster(claim=""), nodes=2)
    with pytest.raises(ConfigError, match="spot or on-demand"):
        Placement("gpu", images, Cluster(capacity="cheap"))
