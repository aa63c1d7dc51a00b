"""The stores of a cluster: PostgreSQL, MLflow over it, and S3 by moto."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.helpers.servers import _healthy, _listens, free_port, running, wait_for

BUCKET = "evenhand"
USER, PASSWORD = "admin", "long enough for a test"
# moto takes any; that they are asked for at all is what clients are tested for.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server with one bucket; gives the variables that clients read."""
    pytest.importorskip("moto")
    import boto3

    port, log = free_port(), folder / "moto.log"
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (
        log.open("wb") as stream,
        running(command, stdout=stream, stderr=stream, cwd=folder) as process,
    ):
        wait_for(lambda: _listens(port), process, log)
        variables = CREDENTIALS | {
            "MLFLOW_S3_ENDPOINT_URL": address,
            "AWS_ENDPOINT_URL": address,
        }
        client = boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1",
            aws_access_key_id="testing", aws_secret_access_key="testing",
        )  # fmt: skip
        client.create_bucket(Bucket=BUCKET)
        client.close()
        yield variables


class MlflowServer:
    """An MLflow server with users, that can be killed and started again at the same address.

    Args:
        store: Address of its database.
        files: Address of its artifacts; clients reach them through the server alone.
        variables: Of the object store.
        folder: For its log.
    """

    def __init__(self, store: str, files: str, variables: Mapping[str, str], folder: Path) -> None:
        self._store, self._files, self._folder = store, files, folder
        self._environment = {
            **os.environ, **variables, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD, "MLFLOW_FLASK_SERVER_SECRET_KEY": "a test's",
        }  # fmt: skip
        (folder / "auth.ini").write_text(
            f"[mlflow]\ndefault_permission = NO_PERMISSIONS\nadmin_username = {USER}\n"
            f"database_uri = sqlite:///{folder}/users.db\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        self._environment.pop("MLFLOW_TRACKING_URI", None)
        self._port = free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = self._folder / "mlflow.log"
        command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", self._store,
            "--artifacts-destination", self._files, "--host", "127.0.0.1",
            "--port", str(self._port), "--workers", "1", "--app-name", "basic-auth",
        ]  # fmt: skip
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=stream, cwd=self._folder, env=self._environment,
                start_new_session=True,
            )  # fmt: skip
        wait_for(lambda: _healthy(self.address), self._process, log)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
