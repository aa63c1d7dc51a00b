from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fairness_core.errors import ConfigError
from fairness_core.runtime import outbox
from fairness_core.runtime.tracking import open_run

PARAMS = {"rank": 8, "steps": [9, 11], "hub_token": "hunter2"}


@pytest.fixture
def tracked(tmp_path, monkeypatch):
    """Open a run in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def open_tracked(params=PARAMS, **options):
        return open_run("finetune", params, enabled=True, experiment="portraits", **options)

    return open_tracked


def test_without_tracking_nothing_is_written_nor_imported(tmp_path):
    program = """
import sys
import numpy
from fairness_core.runtime.tracking import open_run
with open_run("finetune", {"a": 1}, enabled=False, experiment="x") as tracker:
    tracker.metrics({"loss": 1.0}, step=1)
    tracker.params({"b": 2})
    tracker.picture("grid", numpy.zeros((2, 2, 3)))
assert "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_run_in_the_default_store(tracked, tmp_path):
    from mlflow import MlflowClient

    frame = pd.DataFrame({"attribute": ["gender"], "bias": [0.5]})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_text("w")
    with tracked(tags={"note": "first"}) as tracker:
        for step in range(5):
            tracker.metrics({"loss": 1.0 / (step + 1), "grad norm": float("nan")}, step=step)
        tracker.params({"extra": {"n": 1}})
        tracker.picture("validation/grid 3", np.zeros((4, 6, 3), dtype=np.uint8))
        tracker.table("per prompt", frame)
        tracker.artifact(tmp_path / "model", "bundle")
    with pytest.raises(ValueError, match="broken"), tracked({}):
        raise ValueError("broken")

    assert not list((tmp_path / "artifacts" / "unsent").iterdir())
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("portraits")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    failed, run = client.search_runs([experiment.experiment_id])
    assert (failed.info.status, run.info.status) == ("FAILED", "FINISHED")
    assert run.info.run_name == "finetune"
    assert run.data.params == {
        "rank": "8",
        "steps": "[9, 11]",
        "hub_token": "[hidden]",
        "extra.n": "1",
    }
    assert (
        run.data.tags.items()
        >= {
            "evenhand.run": "portraits",
            "step": "finetune",
            "note": "first",
            "evenhand.params_sha": run.data.tags["evenhand.params_sha"],
        }.items()
    )
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(m.step, m.value) for m in history] == [(n, 1.0 / (n + 1)) for n in range(5)]
    files = tmp_path / "mlruns" / experiment.experiment_id / run.info.run_id / "artifacts"
    assert (files / "pictures" / "validation-grid 3.png").read_bytes()[1:4] == b"PNG"
    assert (files / "tables" / "per prompt.csv").read_text() == "attribute,bias\ngender,0.5\n"
    assert (files / "bundle" / "weights").read_text() == "w"


def test_files_lie_beside_a_database_of_another_folder(tracked, tmp_path, monkeypatch):
    """A workspace of DVC's own is gone after its run."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    with tracked() as tracker:
        tracker.table("figures", pd.DataFrame({"bias": [0.5]}))
    (kept,) = (tmp_path / "mlruns").rglob("figures.csv")
    assert kept.read_text() == "bias\n0.5\n"
    assert not (tmp_path / "workspace" / "mlruns").exists()


def test_the_commit_is_a_tag(tracked, tmp_path, fake_mlflow):
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    with tracked():
        pass
    (_, sent) = next(call for call in fake_mlflow.calls if call[0] == "runs/create")
    tags = {tag["key"]: tag["value"] for tag in sent["tags"]}
    assert tags["mlflow.source.git.commit"] == head.stdout.strip()


def test_a_server_that_dies_and_returns_gets_every_metric(
    tracked, tmp_path, fake_mlflow, monkeypatch, caplog
):
    monkeypatch.setattr(outbox, "SEND_EVERY", 0.0)
    monkeypatch.setattr(outbox, "RETRY_AFTER", 0.0)
    with tracked() as tracker:
        tracker.metrics({"loss": 0.0}, step=0)
        fake_mlflow.stop()
        tracker.metrics({"loss": 1.0}, step=1)
        (messages,) = tmp_path.glob("artifacts/unsent/finetune-*/messages.jsonl")
        (line,) = messages.read_text().splitlines()
        assert json.loads(line)["content"] == {"loss": 1.0}
        fake_mlflow.start()
        tracker.metrics({"loss": 2.0}, step=2)
    assert fake_mlflow.metrics() == [(0, 0.0), (1, 1.0), (2, 2.0)]
    assert fake_mlflow.calls[-1][0] == "runs/update"
    assert not list(tmp_path.glob("artifacts/unsent/*"))
    assert caplog.text.count("tracking is interrupted") == 1


def test_a_server_that_is_never_there_stops_nothing(tracked, tmp_path, fake_mlflow):
    fake_mlflow.stop()
    with tracked() as tracker:
        start = time.perf_counter()
        for step in range(200):
            tracker.metrics({"loss": 1.0}, step=step)
        tracker.picture("grid", np.full((2, 2, 3), 0.5))
        assert time.perf_counter() - start < 5
    (folder,) = tmp_path.glob("artifacts/unsent/*")
    text = (folder / "messages.jsonl").read_text()
    kinds = [json.loads(line)["kind"] for line in text.splitlines()]
    assert kinds == ["params", *["metrics"] * 200, "artifact", "end"]
    assert (folder / "pictures" / "grid.png").is_file()
    assert "hunter2" not in text


def test_a_server_that_hangs_is_waited_for_briefly(tracked, fake_mlflow, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with tracked() as tracker:
        fake_mlflow.delay = 30.0
        start = time.perf_counter()
        for step in range(100):
            tracker.params({f"p{step}": step})
        assert time.perf_counter() - start < 10
        fake_mlflow.delay = 0.0


def test_what_the_server_refuses_stops_nothing(tracked, tmp_path, fake_mlflow, caplog):
    with tracked() as tracker:
        fake_mlflow.status = 400
        tracker.params({"rank": 9})
        fake_mlflow.status = 200
        tracker.metrics({"loss": 1.0})
    assert fake_mlflow.metrics() == [(0, 1.0)]
    assert "refused params" in caplog.text
    assert list(tmp_path.glob("artifacts/unsent/*/messages.jsonl"))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("file:mlruns", "tracking store cannot be used: .*maintenance mode"),
        ("ftp://me:hunter2@host", r"cannot be used: .*Given: ftp://\[hidden\]@host"),
    ],
)
def test_a_store_that_cannot_be_used_is_an_error_at_the_start(tracked, monkeypatch, uri, message):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ConfigError, match=message) as caught:
        tracked().__enter__()
    assert "hunter2" not in str(caught.value)


def test_missing_permission_is_an_error_at_the_start(tracked, fake_mlflow):
    fake_mlflow.status = 403
    with pytest.raises(ConfigError, match="correct MLFLOW_TRACKING_URI, or set run.tracking"):
        tracked().__enter__()


def test_tracking_without_mlflow_says_what_to_install(tracked, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"install evenhand\[tracking\]"):
        tracked().__enter__()


def test_names_that_mlflow_would_refuse_are_errors_where_they_are_made(tracked, fake_mlflow):
    with tracked() as tracker:
        with pytest.raises(ConfigError, match="cannot be logged. Given: 'a,b'"):
            tracker.metrics({"a,b": 1.0})
        with pytest.raises(ConfigError, match="file to log does not exist. Given: .*none"):
            tracker.artifact("none")


def test_datasets_and_a_model_are_logged_for_comparison(tracked, tmp_path):
    from mlflow import MlflowClient

    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "manifest.json").write_text("{}")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "weights.safetensors").write_text("w")
    with tracked({}, tags={"evenhand.base": "portraits:base"}) as tracker:
        folders = {"prompts": tmp_path / "prompts", "nothing": tmp_path / "none"}
        tracker.inputs(folders, "training")
        tracker.model("adapter", tmp_path / "bundle", {"rank": 8, "targets": {"gender": 0.5}})
        with pytest.raises(ConfigError, match="model to log does not exist"):
            tracker.model("adapter", tmp_path / "none", {})
    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("portraits")
    (run,) = client.search_runs([experiment.experiment_id])
    (read,) = run.inputs.dataset_inputs
    sha = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of {}
    assert (read.dataset.name, read.dataset.digest) == ("prompts", sha[:36])
    assert {tag.key: tag.value for tag in read.tags} == {"mlflow.data.context": "training"}
    assert run.data.tags["evenhand.data.prompts"] == sha
    (output,) = run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert (model.name, str(model.status)) == ("adapter", "READY")
    assert model.params == {"rank": "8", "targets.gender": "0.5"}
    assert model.tags["evenhand.base"] == "portraits:base"
    files = [item.path for item in client.list_logged_model_artifacts(output.model_id)]
    assert files == ["weights.safetensors"]
