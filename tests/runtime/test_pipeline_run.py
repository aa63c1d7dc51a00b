"""The MLflow run of a whole pipeline, and the steps' runs below it."""

from __future__ import annotations

import pytest

from fairness_core.errors import ConfigError
from fairness_core.runtime.pipeline_run import (
    begin_pipeline_run,
    end_pipeline_run,
    note_pipeline_run,
)
from fairness_core.runtime.tracking import open_run


def test_steps_are_put_below_the_pipelines_run(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    store = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    run_id = begin_pipeline_run("heading", "pipeline", {"git": "abc"})
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with open_run("finetune", {}, enabled=True, experiment="heading"):
        pass
    note_pipeline_run(run_id, {"kfp.run_id": "r"})
    client = MlflowClient(tracking_uri=store)
    assert client.get_run(run_id).info.status == "RUNNING"
    end_pipeline_run(run_id, "FAILED", {"evenhand.error": "why"})
    whole = client.get_run(run_id)
    assert whole.info.status == "FAILED"
    assert {"git": "abc", "kfp.run_id": "r", "evenhand.error": "why"}.items() <= (
        whole.data.tags.items()
    )
    runs = client.search_runs([whole.info.experiment_id])
    (step,) = [run for run in runs if run.info.run_id != run_id]
    assert step.data.tags["mlflow.parentRunId"] == run_id
    with pytest.raises(ConfigError, match="tracking store cannot be used|was not ended"):
        end_pipeline_run("0" * 32, "FINISHED", {"a": "b"})
