"""MLflow on PostgreSQL and S3, and DVC on S3: logged, compared, registered, and nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fairness_core.errors import ConfigError
from fairness_core.runtime.files import read_table
from fairness_core.runtime.registry import Registry
from fairness_core.runtime.tracking import open_run
from tests.helpers.servers import postgresql, running
from tests.helpers.tiny_world import write_params
from tests.infra.stores import BUCKET, PASSWORD, USER, MlflowServer, client, keys, object_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

ITERATIONS = 30


@pytest.fixture(scope="module")
def s3():
    """Variables of an object store."""
    with object_store() as variables:
        yield variables


@pytest.fixture(scope="module")
def server(s3, tmp_path_factory):
    """MLflow on both stores."""
    with postgresql() as store:
        folder = tmp_path_factory.mktemp("mlflow")
        one = MlflowServer(store, f"s3://{BUCKET}/mlflow", s3, folder)
        one.start()
        yield one
        one.kill()


@pytest.fixture
def tracked(server, tmp_path, monkeypatch):
    """A working folder whose runs go to the server; of S3 it knows nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    return tmp_path


def test_a_wrong_secret_is_refused(s3):
    """That the store asks at all is what the other tests rest on."""
    from botocore.exceptions import ClientError

    with (
        contextlib.closing(client(s3, "another secret")) as other,
        pytest.raises(ClientError, match="SignatureDoesNotMatch"),
    ):
        other.list_buckets()


def test_runs_are_logged_compared_and_registered(server, s3, tracked):
    from mlflow import MlflowClient

    for rate, bias in ((0.001, 0.5), (0.004, 0.2)):
        with open_run(
            "finetune", {"finetune": {"learning_rate": rate}}, enabled=True, experiment="compared"
        ) as tracker:
            for step in range(3):
                tracker.metrics({"bias": bias + 0.1 * (2 - step)}, step)
            (tracked / "card.md").write_text(f"bias {bias}")
            tracker.artifact(tracked / "card.md")
    client = MlflowClient()
    place = client.get_experiment_by_name("compared").experiment_id
    best, other = client.search_runs([place], order_by=["metrics.bias ASC"])
    assert best.data.params["finetune.learning_rate"] == "0.004"
    assert (best.data.metrics["bias"], other.data.metrics["bias"]) == (0.2, 0.5)
    assert any(key.endswith(f"{best.info.run_id}/artifacts/card.md") for key in keys(s3, "mlflow"))

    bundle = tracked / "bundle"
    bundle.mkdir()
    (bundle / "weights.safetensors").write_bytes(os.urandom(1 << 20))
    version = Registry("adapter").register(
        bundle, experiment="compared", key="1", about="first", tags={"waived": ""}
    )
    held = client.get_model_version_by_alias("adapter", "candidate")
    assert int(held.version) == version == 1
    got = client.download_artifacts(held.run_id, "bundle/weights.safetensors", str(tracked))
    assert Path(got).read_bytes() == (bundle / "weights.safetensors").read_bytes()


def test_a_wrong_password_is_an_error_before_the_work_begins(tracked, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "another")
    with (
        pytest.raises(ConfigError, match="tracking store cannot be used"),
        open_run("finetune", {}, enabled=True, experiment="refused"),
    ):
        pytest.fail("the step began")


TRACKED = """
import sys
from pathlib import Path
from components.finetune.main import main
from fairness_core.runtime import outbox
from tests.infra.held import hold

outbox.SEND_EVERY = 0.0
hold({2: Path("killed"), 20: Path("back")})
sys.exit(main(sys.argv[1:]))
"""


def test_a_server_killed_during_training_loses_nothing(
    server, s3, tracked, tiny_world, repository, finetune_arguments
):
    """Killed after two iterations of thirty; the next eighteen go on while it is away."""
    from mlflow import MlflowClient

    params = write_params(
        tracked / "params.yaml", repository, tiny_world, iterations=ITERATIONS, images_per_prompt=4
    )
    words = [*finetune_arguments(params, tracked / "out"), "--set", "run.tracking=true"]
    client = MlflowClient()
    with trained([sys.executable, "-c", TRACKED, *words], tracked, repository) as (training, log):
        until((tracked / "killed.awaited").exists, training, log)
        run = first_run(client, "tiny")
        server.kill()
        (tracked / "killed").touch()
        until((tracked / "back.awaited").exists, training, log)
        kept = waiting(tracked)
        assert {(one["kind"], one["step"]) for one in kept} == {
            ("metrics", step) for step in range(2, 20)
        }
        server.start()
        (tracked / "back").touch()
        assert training.wait(600) == 0, (tracked / "log").read_text()
    said = (tracked / "log").read_text()
    assert said.count("tracking is interrupted, the work goes on") == 1
    assert "tracking works again" in said
    ended = client.get_run(run)
    assert ended.info.status == "FINISHED"
    log = read_table(tracked / "out/output/log.parquet")
    assert len(log) == ITERATIONS
    for name in ("loss_total", "gradient_norm"):
        held = {(one.step, one.value) for one in client.get_metric_history(run, name)}
        lost = set(enumerate(log[name].astype(float))) - held
        assert lost == set(), name
    assert ended.data.params["iterations"] == str(ITERATIONS)
    assert list((tracked / "artifacts/unsent").iterdir()) == []


TASK = """
import sys
from pathlib import Path
from components.checkpoint_store import mirrored
from components.finetune.main import main
from tests.infra.held import hold

hold({9: Path("unheld")})
with mirrored(sys.argv[1], Path(sys.argv[2]), every=0.05):
    if status := main(sys.argv[3:]):
        sys.exit(status)
"""


def test_a_finetune_whose_node_is_lost_goes_on_from_the_store(
    s3, tmp_path, tiny_world, repository, finetune_arguments, hashes
):
    """Killed in its tenth iteration, its disk gone: the result is an undisturbed run's."""
    params = write_params(
        tmp_path / "params.yaml", repository, tiny_world,
        iterations=ITERATIONS, images_per_prompt=4, checkpoint_every=2,
    )  # fmt: skip

    def task(folder):
        folder.mkdir()
        uri, checkpoints = f"s3://{BUCKET}/checkpoints/run", str(folder / "checkpoints")
        words = [uri, checkpoints, *finetune_arguments(params, folder)]
        return trained([sys.executable, "-c", TASK, *words], folder, repository, **s3)

    def whole():
        return [key for key in keys(s3, "checkpoints") if key.endswith("/whole")]

    lost, found, free = (tmp_path / name for name in ("lost", "found", "free"))
    with task(lost) as (training, log):
        until((lost / "unheld.awaited").exists, training, log)
        # Nothing is on its way any more.
        until(lambda: any("iteration-00000008" in key for key in whole()), training, log)
        training.kill()
        assert training.wait() == -signal.SIGKILL
    assert not (lost / "output").exists()
    kept = whole()
    for folder in (found, free):
        with task(folder) as (training, log):
            (folder / "unheld").touch()
            assert training.wait(600) == 0, (folder / "log").read_text()
        assert whole() == [], "a finished run leaves none behind"
    went_on = [
        line for line in (found / "log").read_text().splitlines() if "Going on after" in line
    ]
    assert len(went_on) == 1
    assert f"iteration-{int(went_on[0].split()[-1]):08d}" in " ".join(kept)
    assert "Going on after" not in (free / "log").read_text()
    assert hashes(found) == hashes(free)


@contextlib.contextmanager
def trained(command, folder, repository, **variables):
    """A training process in the folder, and its log there."""
    environment = os.environ | variables
    environment |= {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "log").open("w+b") as log,
        running(command, stdout=log, stderr=log, cwd=folder, env=environment) as training,
    ):
        yield training, log


def first_run(client, experiment):
    """Id of the only run."""
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return run.info.run_id


def waiting(folder):
    """Messages that wait for the server."""
    (file,) = folder.glob("artifacts/unsent/*/messages.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def until(found, training, log):
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if value := found():
            return value
        if training.poll() is not None:
            log.seek(0)
            raise AssertionError(log.read().decode(errors="replace")[-3000:])
        time.sleep(0.1)
    raise AssertionError("it took too long")


def test_dvc_keeps_artifacts_on_s3(s3, tmp_path, repository):
    """Pushed from one checkout, pulled into another: the same bytes, the address in no commit."""
    pytest.importorskip("dvc_s3")
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW")} | s3
    environment |= {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER")
                    for what in ("NAME", "EMAIL")}  # fmt: skip
    environment["DVC_NO_ANALYTICS"] = "1"

    def call(folder, *words):
        done = subprocess.run(
            words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def dvc(folder, *words):
        call(folder, sys.executable, "-m", "dvc", *words)

    call(one, "git", "init", "-q")
    dvc(one, "init", "-q")
    (one / ".dvc/config").write_text((repository / ".dvc/config").read_text())
    (one / "bundle").mkdir()
    (one / "bundle/weights.safetensors").write_bytes(os.urandom(1 << 20))
    dvc(one, "add", "-q", "bundle")
    call(one, "git", "add", "-A")
    call(one, "git", "commit", "-qm", "a bundle")
    call(tmp_path, "git", "clone", "-q", str(one), str(two))
    for folder in (one, two):
        dvc(folder, "remote", "add", "--local", "--default", "store", f"s3://{BUCKET}/dvc")
        dvc(folder, "remote", "modify", "--local", "store", "endpointurl", s3["AWS_ENDPOINT_URL"])
    dvc(one, "push", "-q")
    assert keys(s3, "dvc")
    dvc(two, "pull", "-q")
    pushed, pulled = (folder / "bundle/weights.safetensors" for folder in (one, two))
    assert pulled.read_bytes() == pushed.read_bytes()
    shown = subprocess.run(
        ["git", "status", "--porcelain"], cwd=two, capture_output=True, text=True, check=True
    )
    assert shown.stdout == ""
