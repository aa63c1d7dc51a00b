"""The MLflow run of a whole pipeline: made when it is submitted, ended by its exit handler."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Literal

from fairness_core.errors import ConfigError
from fairness_core.runtime.mlflow_store import MlflowStore
from fairness_core.runtime.outbox import Message, RefusedError, UnreachableError

__all__ = ["begin_pipeline_run", "end_pipeline_run", "note_pipeline_run"]


def begin_pipeline_run(experiment: str, name: str, tags: Mapping[str, str]) -> str:
    """Make the run that the steps' runs are put below.

    Args:
        experiment: Name of the MLflow experiment.
        name: Name of the run.
        tags: Where the pipeline comes from: commit, data, images.

    Returns:
        Its id.

    Raises:
        ConfigError: MLflow is not installed, or its store cannot be used or reached.
    """
    store = MlflowStore(experiment, name, tags, _now())
    _open(store)
    assert store.run_id is not None
    return store.run_id


def note_pipeline_run(run_id: str, tags: Mapping[str, str]) -> None:
    """Add tags to a run that exists.

    Raises:
        ConfigError: MLflow is not installed, its store cannot be used, or has no such run.
    """
    _open(MlflowStore("", "", tags, _now(), run_id))


def end_pipeline_run(
    run_id: str, status: Literal["FINISHED", "FAILED", "KILLED"], tags: Mapping[str, str]
) -> None:
    """Set a run's last tags and its status.

    Raises:
        ConfigError: MLflow is not installed, its store cannot be used, or has no such run.
    """
    store = MlflowStore("", "", tags, _now(), run_id)
    _open(store)
    try:
        store.send([Message("end", {"status": status}, _now())])
    except (UnreachableError, RefusedError) as error:
        raise ConfigError(f"The pipeline's run was not ended: {error}", given=run_id) from error


def _open(store: MlflowStore) -> None:
    try:
        store.open()
    except UnreachableError as error:
        raise ConfigError(
            f"The tracking server does not answer: {error}",
            do="correct MLFLOW_TRACKING_URI, or set run.tracking to false",
        ) from error


def _now() -> int:
    return round(time.time() * 1000)
