"""What the local runner's containers are given, and what is read from Docker's events."""

from __future__ import annotations

import gc
import json
import os

import pytest

from fairness_core.errors import ConfigError
from pipelines.containers import Containers, Ended, Watch, explain, task_of

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


class FakeDocker:
    """Events of two containers, the second gone before it can be asked about."""

    def __init__(self):
        self.api = self
        self.asked = None

    def events(self, decode, filters):
        self.asked = filters
        return Stream(
            {"Action": action, "Actor": {"ID": place, "Attributes": more}}
            for action, place, more in [
                ("create", "a", {}),
                ("oom", "a", {}),
                ("die", "a", {"exitCode": "137"}),
                ("create", "b", {}),
                ("die", "b", {"exitCode": "1"}),
            ]
        )

    def inspect_container(self, place):
        if place == "b":
            raise docker.errors.NotFound("gone")
        return {"Config": {"Cmd": command("finetune")}}

    def close(self):
        pass


class Stream:
    def __init__(self, events):
        self._events = events

    def __iter__(self):
        return self._events

    def close(self):
        pass


def test_events_say_which_task_ran_out_of_memory(monkeypatch):
    fake = FakeDocker()
    monkeypatch.setattr("pipelines.containers._client", lambda _: fake)
    containers = Containers("image")
    with Watch(containers) as watch:
        pass
    assert watch.ended == [Ended("finetune", 137, memory=True), Ended("a task", 1, memory=False)]
    assert fake.asked["label"] == f"evenhand.run={containers.label}"


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
