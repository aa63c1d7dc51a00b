"""The one place that talks to MLflow, which takes seconds to import and so is imported late."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError
from fairness_core.runtime.mlflow_files import files_beside
from fairness_core.runtime.outbox import Message, RefusedError, UnreachableError
from fairness_core.runtime.redact import without_secrets

__all__ = ["MlflowStore", "open_client"]

# What MLflow takes of a dataset's digest, characters.
DIGEST = 36
METRICS_PER_REQUEST, PARAMS_PER_REQUEST = 1000, 100
# Read by MLflow, whose own values wait for a lost server for minutes, and the training with them.
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}
# The pages then open on runs and their charts; without it, on those for language models.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
DENIED = {401, 403}
PASSING = {*DENIED, 408, 409, 425, 429}  # of the 4xx: worth another try


def _mlflow() -> tuple[Any, str]:
    """The library, and the address of the store."""
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)
    try:
        import mlflow
    except ImportError as error:
        raise ConfigError(
            "Tracking is on and MLflow is not installed",
            do="install evenhand[tracking], or set run.tracking to false",
        ) from error
    # The outbox says once that a server is gone; urllib3 would at every try.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return mlflow, os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd()}/mlflow.db"


def open_client() -> tuple[Any, Callable[[], AbstractContextManager[None]]]:
    """MLflow's client for the store, and a context that turns its errors into ours.

    Raises:
        ConfigError: MLflow is not installed; inside the context: the store cannot be used.
    """
    mlflow, uri = _mlflow()

    @contextmanager
    def translated() -> Iterator[None]:
        try:
            yield
        except mlflow.MlflowException as error:
            raise ConfigError(
                f"The model registry cannot be used: {_brief(error)}", given=without_secrets(uri)
            ) from error

    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri), translated


class MlflowStore:
    """One MLflow run, made when the store can first be reached.

    Args:
        experiment: Name of the MLflow experiment, made if it does not exist.
        name: Name of the run.
        tags: Its tags.
        started: Milliseconds since 1970.
        run_id: A run that exists, to be gone on with instead of making one.

    Raises:
        ConfigError: MLflow is not installed.
    """

    def __init__(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        started: int,
        run_id: str | None = None,
    ) -> None:
        self._mlflow, self.uri = _mlflow()
        self._experiment, self._name = experiment, name
        self._tags, self._started = dict(tags), started
        self._client: Any = None
        self.run_id = run_id

    @property
    def remote(self) -> bool:
        """Whether the store is a server, which may be away for a while."""
        return self.uri.startswith(("http://", "https://"))

    def open(self) -> None:
        """Make the run.

        Raises:
            UnreachableError: A server does not answer.
            ConfigError: Any other reason: a wrong address, no permission, a damaged store.
        """
        try:
            with self._translated():
                self._open()
        except (RefusedError, UnreachableError) as error:
            cause = error.__cause__
            status = getattr(cause, "get_http_status_code", lambda: 500)()
            if self.remote and isinstance(error, UnreachableError) and status not in DENIED:
                raise
            raise ConfigError(
                f"The tracking store cannot be used: {error}",
                given=without_secrets(self.uri),
                do="correct MLFLOW_TRACKING_URI, or set run.tracking to false",
            ) from cause

    def _open(self) -> None:
        if self._client is None:
            self._client = self._mlflow.MlflowClient(tracking_uri=self.uri)
        if self.run_id is not None:
            for name, value in self._tags.items():
                self._client.set_tag(self.run_id, name, value)
            return
        found = self._client.get_experiment_by_name(self._experiment)
        if found is None:
            place = files_beside(self.uri, self._experiment)
            experiment = self._client.create_experiment(self._experiment, place, EXPERIMENT_TAGS)
        else:
            experiment = found.experiment_id
        run = self._client.create_run(
            experiment, start_time=self._started, tags=self._tags, run_name=self._name
        )
        self.run_id = run.info.run_id

    def send(self, messages: Sequence[Message]) -> None:
        """Deliver messages of one kind.

        Raises:
            UnreachableError: Not now.
            RefusedError: Never.
        """
        with self._translated():
            if self.run_id is None:
                self._open()
            getattr(self, f"_send_{messages[0].kind}")(messages)

    def _send_metrics(self, messages: Sequence[Message]) -> None:
        metrics = [
            self._mlflow.entities.Metric(name, value, message.time, message.step)
            for message in messages
            for name, value in message.content.items()
        ]
        for start in range(0, len(metrics), METRICS_PER_REQUEST):
            part = metrics[start : start + METRICS_PER_REQUEST]
            self._client.log_batch(self.run_id, metrics=part)

    def _send_params(self, messages: Sequence[Message]) -> None:
        params = [
            self._mlflow.entities.Param(name, value)
            for message in messages
            for name, value in message.content.items()
        ]
        for start in range(0, len(params), PARAMS_PER_REQUEST):
            part = params[start : start + PARAMS_PER_REQUEST]
            self._client.log_batch(self.run_id, params=part)

    def _send_artifact(self, messages: Sequence[Message]) -> None:
        for message in messages:
            path, folder = Path(message.content["path"]), message.content["folder"] or None
            if not path.exists():
                raise RefusedError(f"{path} is gone")
            log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
            log(self.run_id, str(path), folder)

    def _send_inputs(self, messages: Sequence[Message]) -> None:
        entities = self._mlflow.entities
        for message in messages:
            context, data = message.content["context"], message.content["data"]
            datasets = [
                entities.DatasetInput(
                    entities.Dataset(
                        name,
                        one["sha256"][:DIGEST],
                        "local",
                        json.dumps({"uri": one["path"], "sha256": one["sha256"]}),
                    ),
                    [entities.InputTag("mlflow.data.context", context)],
                )
                for name, one in data.items()
            ]
            if datasets:
                self._client.log_inputs(self.run_id, datasets)
            tags = [entities.RunTag(f"evenhand.data.{n}", one["sha256"]) for n, one in data.items()]
            self._client.log_batch(self.run_id, tags=tags)

    def _send_model(self, messages: Sequence[Message]) -> None:
        """A model of the run, with its files; one that a lost server had begun is made anew."""
        for message in messages:
            folder = Path(message.content["path"])
            if not folder.is_dir():
                raise RefusedError(f"{folder} is gone")
            experiment = self._client.get_run(self.run_id).info.experiment_id
            made = self._client.create_logged_model(
                experiment,
                message.content["name"],
                source_run_id=self.run_id,
                tags={k: v for k, v in self._tags.items() if k.startswith("evenhand.")},
                params=message.content["params"],
                model_type="adapter",
            )
            self._client.log_model_artifacts(made.model_id, str(folder))
            self._client.finalize_logged_model(made.model_id, "READY")
            output = self._mlflow.entities.LoggedModelOutput(made.model_id, 0)
            self._client.log_outputs(self.run_id, [output])

    def _send_end(self, messages: Sequence[Message]) -> None:
        for message in messages:
            status = message.content["status"]
            self._client.set_terminated(self.run_id, status, message.time)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """MLflow's errors as ours: refused for good, or out of reach for now."""
        try:
            yield
        except (RefusedError, UnreachableError):
            raise
        except self._mlflow.MlflowException as error:
            status = error.get_http_status_code()
            lasting = 400 <= status < 500 and status not in PASSING
            raise (RefusedError if lasting else UnreachableError)(_brief(error)) from error
        # Databases and artifact stores raise errors of their own libraries, which are theirs to
        # choose; none of them may stop a training run.
        except Exception as error:
            raise UnreachableError(_brief(error)) from error


def _brief(error: Exception) -> str:
    text = without_secrets(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
