"""What the local runner's containers are given, and what is read of them as they end."""

from __future__ import annotations

import gc
import json
import os
from types import SimpleNamespace

import pytest
from kfp.local import docker_task_handler
from kfp.local.status import Status

from fairness_core.errors import ConfigError
from pipelines.containers import Containers, Ended, explain, noted, task_of

docker = pytest.importorskip("docker")


def command(task):
    record = f"/runs/evenhand-2026/{task}/executor_output.json"
    return ["sh", "-ec", "{x", "--executor_input", json.dumps({"outputs": {"outputFile": record}})]


@pytest.mark.parametrize(
    ("words", "name"),
    [(command("finetune"), "finetune"), (["{"], "a task"), (['{"outputs": 1}'], "a task")],
)
def test_a_task_is_named_by_where_it_writes(words, name):
    assert task_of(words) == name


def test_why_tasks_ended():
    ended = [
        Ended("prompts", 0, memory=False),
        Ended("finetune", 137, memory=True),
        Ended("finetune", 137, memory=False),
        Ended("gate", 3, memory=False),
    ]
    assert explain(ended, "512m") == [
        "finetune ran out of memory (its limit is 512m)",
        "finetune was killed from outside",
        "gate ended with status 3",
    ]
    assert explain(ended[1:2]) == ["finetune ran out of memory (the machine's memory is full)"]


class FakeContainer:
    def __init__(self, status, memory=False):
        self.status, self.memory, self.removed = status, memory, 0
        self.attrs = {}

    def logs(self, stream):
        assert stream
        return iter([b"so far\n", "µ".encode()[:1]])

    def wait(self):
        if isinstance(self.status, BaseException):
            raise self.status
        return {"StatusCode": self.status}

    def reload(self):
        self.attrs = {"State": {"OOMKilled": self.memory}}

    def remove(self, force):
        assert force
        self.removed += 1


def by_kfp(container, monkeypatch, tmp_path):
    """How kfp's own Docker runner says that a task in this container ended."""
    started = {}

    def run(**options):
        started.update(options)
        return container

    client = SimpleNamespace(
        containers=SimpleNamespace(run=run),
        images=SimpleNamespace(list=list, pull=lambda _: None),
        info=dict,
        close=lambda: None,
    )
    monkeypatch.setattr(docker, "from_env", lambda: client)
    runner = Containers("image:1").runner(tmp_path)
    handler = docker_task_handler.DockerTaskHandler(
        "image:1", command("finetune"), str(tmp_path), runner, {"A": "1"}
    )
    result = handler.run()
    assert started["environment"] == {"A": "1"}
    assert not started.get("auto_remove")
    return result


def test_a_status_is_read_before_a_container_is_removed(monkeypatch, tmp_path, capsys):
    containers = [FakeContainer(137, memory=True), FakeContainer(1), FakeContainer(0)]
    with noted() as ended:
        results = [by_kfp(one, monkeypatch, tmp_path) for one in containers]
    assert results == [Status.FAILURE, Status.FAILURE, Status.SUCCESS]
    assert [one.removed for one in containers] == [1, 1, 1]
    assert ended == [
        Ended("finetune", 137, memory=True),
        Ended("finetune", 1, memory=False),
        Ended("finetune", 0, memory=False),
    ]
    assert "so far" in capsys.readouterr().out


def test_an_interrupted_run_leaves_no_container(monkeypatch, tmp_path):
    container = FakeContainer(KeyboardInterrupt())
    before = docker_task_handler.run_docker_container
    with pytest.raises(KeyboardInterrupt), noted():
        by_kfp(container, monkeypatch, tmp_path)
    assert container.removed == 1
    assert docker_task_handler.run_docker_container is before


def test_containers_can_do_little(tmp_path):
    options = Containers("image", "10001:10001", "2g").runner(tmp_path).container_run_args
    assert options["user"] == "10001:10001"
    assert options["network_mode"] == "none"
    assert options["read_only"] is True
    assert options["cap_drop"] == ["ALL"]
    assert options["mem_limit"] == options["memswap_limit"] == "2g"
    (mount,) = options["mounts"]
    assert (mount["Source"], mount["Target"]) == (str(tmp_path), "/workspace")


def test_without_a_user_containers_are_never_root(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert Containers("image").owner == "10001:10001"
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 100)
    assert Containers("image").owner == "1000:100"


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_docker_is_one_clear_message(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none")
    with pytest.raises(ConfigError, match="Docker does not answer.*use --runner subprocess"):
        Containers("image").image_id()
    # The library leaves its socket open; it is closed while the warning is ignored.
    gc.collect()
