"""The stores of a cluster: MLflow over its database, and S3 as Ceph has it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.servers import healthy, free_port, wait_for
from tests.infra.ceph import gateway

BUCKET = "evenhand"
USER, PASSWORD = "admin", "long enough for a test"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "evenhand",
    "AWS_SECRET_ACCESS_KEY": "a-secret-for-one-test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextlib.contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """An S3 server with one user and one bucket; gives the variables that its clients read."""
    pytest.importorskip("boto3")
    # Ceph's sockets lie in its folder, and their paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="ceph-", dir="/tmp"))
    try:
        with gateway(folder, CREDENTIALS) as address:
            variables = CREDENTIALS | {
                "MLFLOW_S3_ENDPOINT_URL": address,
                "AWS_ENDPOINT_URL": address,
            }
            with contextlib.closing(client(variables)) as s3:
                s3.create_bucket(Bucket=BUCKET)
            yield variables
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def client(variables: Mapping[str, str], secret: str | None = None) -> Any:
    """boto3's client of the store, with another secret if one is given."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name=variables["AWS_DEFAULT_REGION"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or variables["AWS_SECRET_ACCESS_KEY"],
    )


def keys(variables: Mapping[str, str], prefix: str) -> list[str]:
    """Names in the bucket that begin so."""
    with contextlib.closing(client(variables)) as s3:
        found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [one["Key"] for one in found.get("Contents", [])]


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
        wait_for(lambda: healthy(self.address), self._process, log)

    def kill(self) -> None:
        """End it without a word."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
