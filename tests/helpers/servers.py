"""Real servers for integration tests: PostgreSQL and MLflow, on loopback, data of their own."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

READY = 120  # seconds that a server may take to start on a busy machine
SERVERS = Path("/usr/lib/postgresql")


_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nobody listens on, and that no later ``bind(0)`` is given."""
    # Below the ports that Linux takes for whoever asks for any.
    for port in random.sample(range(20000, 32000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port
    raise AssertionError("none of a hundred ports is free")


def _program(name: str) -> str:
    found = [*sorted(SERVERS.glob(f"*/bin/{name}"), reverse=True), shutil.which(name)]
    if found[0] is None:
        pytest.skip(f"PostgreSQL's {name} is not installed (apt-get install postgresql)")
    return str(found[0])


def _owner() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A database server; gives its address for SQLAlchemy."""
    initdb, server, owner = _program("initdb"), _program("postgres"), _owner()
    folder = Path(tempfile.mkdtemp(prefix="evenhand-postgresql-"))
    if owner:
        shutil.chown(folder, owner)
    port, log = free_port(), folder / "log"
    common = {"user": owner, "cwd": folder, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C"}}
    try:
        subprocess.run(
            [initdb, "-D", folder / "data", "-U", "evenhand", "-A", "trust", "-E", "UTF8"],
            check=True, capture_output=True, **common,
        )  # fmt: skip
        with log.open("wb") as stream, running(
            [server, "-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1",
             "-c", f"unix_socket_directories={folder}", "-c", "fsync=off"],
            stdout=stream, stderr=stream, **common,
        ) as process:  # fmt: skip
            wait_for(lambda: listens(port), process, log)
            yield f"postgresql+psycopg2://evenhand@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mlflow_server(store: str, folder: Path) -> Iterator[str]:
    """An MLflow server with this backend store; gives its address."""
    port, log = free_port(), folder / "mlflow-server.log"
    address = f"http://127.0.0.1:{port}"
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store,
        "--artifacts-destination", str(folder / "artifacts-of-server"),
        "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    env.pop("MLFLOW_TRACKING_URI", None)
    with log.open("wb") as stream, running(
        command, stdout=stream, stderr=stream, env=env, cwd=folder
    ) as process:  # fmt: skip
        wait_for(lambda: healthy(address), process, log)
        yield address


@contextlib.contextmanager
def running(command: list[str], **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session; it and its children end with the block."""
    process = subprocess.Popen(command, start_new_session=True, **options)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(ready: object, process: subprocess.Popen[bytes], log: Path) -> None:
    """Poll until it is ready; its log is the message of what never is."""
    end = time.monotonic() + READY
    while time.monotonic() < end:
        if ready():  # type: ignore[operator]
            return
        assert process.poll() is None, log.read_text(errors="replace")[-3000:]
        time.sleep(0.3)
    raise AssertionError(f"not ready after {READY} s: {log.read_text(errors='replace')[-3000:]}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
