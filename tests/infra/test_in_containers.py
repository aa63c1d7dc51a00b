"""The compiled pipeline in containers of the real image: what `make integration` runs.

One run has its finetuning killed in the middle and tried again; all its bytes are those of the
steps' own command lines.
"""

from __future__ import annotations

import contextlib
import io
import json
import threading
import time

import pytest

from fairness_core.config import load
from fairness_core.errors import ArtifactError
from pipelines.compile import arguments, given_policy
from pipelines.containers import LABEL, Containers, task_of
from pipelines.lint import read_compiled
from pipelines.local_results import expected_tasks, missing_outputs
from pipelines.local_run import run_here
from tests.helpers.whole_run import assert_same_run

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]

PICTURES = 3 * (24 * 2 + 16 + 6)
PIPELINE, SHARDS, USER = "align-and-evaluate", 2, 10001
FINAL = {"report", "gate", "finish"}  # never reused: they hold a date, or are asked for their deed


@pytest.fixture(scope="module")
def given(small_params):
    policy = small_params.with_name("policy.yaml")
    return arguments(PIPELINE, load(small_params)) | given_policy(policy)


class Killer(threading.Thread):
    """Kills the finetuning once, when it has a checkpoint; notes how its container is set up."""

    def __init__(self, label, checkpoints):
        super().__init__(daemon=True)
        self.label, self.checkpoints = label, checkpoints
        self.settings = None
        self.over = threading.Event()

    def run(self):
        import docker
        from docker.errors import APIError

        client = docker.from_env()
        while not self.over.is_set() and self.settings is None:
            time.sleep(0.02)
            if not any(self.checkpoints.glob("*/iteration-*")):
                continue
            for one in client.containers.list(filters={"label": f"{LABEL}={self.label}"}):
                # Too late is too late: the test says so.
                with contextlib.suppress(APIError):
                    if task_of(one.attrs["Config"]["Cmd"]) == "finetune":
                        one.kill()
                        self.settings = one.attrs
        client.close()


@pytest.fixture(scope="module")
def contained(image, given, tmp_path_factory):
    """The same in containers: folder, kfp's tree in it, what was killed, what was printed."""
    out = tmp_path_factory.mktemp("contained")
    for folder in (out, *out.parents[:2]):
        folder.chmod(0o755)
    containers = Containers(image, f"{USER}:{USER}")
    killer = Killer(containers.label, out / "workspace" / "checkpoints")
    killer.start()
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            tree = run_here(
                PIPELINE, given, out, shards=SHARDS, containers=containers, retries=1, reuse=True
            )
    finally:
        killer.over.set()
        killer.join()
        print(said.getvalue())
    return out, tree, killer.settings, said.getvalue()


def test_every_step_ran_and_wrote_as_10001(contained):
    out, tree, *_ = contained
    expected = expected_tasks(read_compiled(out / "pipeline.yaml"))
    assert len(expected) == len({task.folder for task in expected}) == 18
    assert missing_outputs(expected, tree) == []
    owners = {path.stat().st_uid for path in tree.rglob("*")}
    assert owners == {USER}


def test_containers_have_no_network_no_root_and_no_writable_root(contained):
    _, _, settings, _ = contained
    assert settings["Config"]["User"] == f"{USER}:{USER}"
    host = settings["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["Privileged"] is False


def test_a_killed_finetuning_went_on_from_its_checkpoint(contained):
    out, tree, settings, said = contained
    assert settings is not None, "nothing was killed"
    assert said.count("Going on after iteration") == 1
    record = json.loads((tree / "finetune" / "executor_output.json").read_text())
    assert record["artifacts"]["finetuned"]
    # Removed when the second attempt had ended well.
    assert not any((out / "workspace" / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def piped(given, tmp_path_factory):
    """The same in processes of this machine."""
    out = tmp_path_factory.mktemp("piped")
    run_here(PIPELINE, given, out, shards=SHARDS)
    return out


@pytest.mark.parametrize("runner", ["processes", "containers"])
def test_everything_is_that_of_the_command_lines(plain, runner, request, contained):
    """Three ways of running: command lines, kfp's processes, kfp's containers."""
    out = request.getfixturevalue("piped") if runner == "processes" else contained[0]
    assert_same_run(plain, out, pictures=PICTURES)


def test_a_second_run_takes_what_the_first_has_made(image, given, contained):
    out, first, *_ = contained
    images = {p: p.stat().st_ino for p in (first / "publish").rglob("*.safetensors")}
    second = run_here(
        PIPELINE, given, out, shards=SHARDS, containers=Containers(image, f"{USER}:{USER}"),
        retries=1, reuse=True,
    )  # fmt: skip
    ran = {path.parent.name for path in second.rglob("executor_output.json")}
    # The exit handler has no outputs, so that kfp keeps no record of it.
    assert ran <= FINAL
    assert ran >= {"report", "gate"}
    shown = (out / "artifacts/bundle/pytorch_lora_weights.safetensors").stat().st_ino
    assert shown in images.values()


def test_another_value_repeats_what_reads_it(image, given, contained):
    out, *_ = contained
    changed = json.loads(given["evaluate_bias_parameters"])
    changed["evaluate_bias"]["bootstrap"] = 101
    later = run_here(
        PIPELINE, given | {"evaluate_bias_parameters": json.dumps(changed)}, out, shards=SHARDS,
        containers=Containers(image, f"{USER}:{USER}"), retries=1, reuse=True,
    )  # fmt: skip
    ran = {path.parent.name for path in later.rglob("executor_output.json")}
    assert "evaluate-bias" in ran
    assert ran <= FINAL | {"evaluate-bias"}


def test_a_step_without_memory_is_reported(image, given, tmp_path):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    containers = Containers(image, f"{USER}:{USER}", memory="96m")
    with pytest.raises(
        ArtifactError,
        match=r"generate-prompts ran out of memory \(its limit is 96m\).*give containers more",
    ):
        run_here(PIPELINE, given, tmp_path, shards=1, containers=containers)
    assert not (tmp_path / "artifacts").exists()
