"""A tracking server small enough to start, stop and hang within a test."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlparse

import pytest


class FakeMlflow:
    """The REST calls that a run needs. ``status`` is that of all replies, ``delay`` in seconds."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.status, self.delay, self.port = 200, 0.0, 0
        self._server: ThreadingHTTPServer | None = None
        self._stopped = threading.Event()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                fake.reply(self)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *args: Any) -> None:
                """Keep the test's output for the test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        # A client that gave up is no news, least of all in a later test's output.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._stopped.clear()
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def reply(self, request: BaseHTTPRequestHandler) -> None:
        size = int(request.headers.get("Content-Length") or 0)
        sent = json.loads(request.rfile.read(size) or b"{}")
        call = urlparse(request.path).path.rsplit("mlflow/", 1)[-1]
        self._stopped.wait(self.delay)
        status, body = self.status, self.answer(call, sent)
        if call == "experiments/get-by-name" and status == 200:
            status, body = 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"}
        elif status != 200:
            body = {"error_code": str(status), "message": "no"}
        else:
            self.calls.append((call, sent))
        data = json.dumps(body).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    @staticmethod
    def answer(call: str, sent: dict[str, Any]) -> dict[str, Any]:
        info = {"run_id": "r1", "run_uuid": "r1", "experiment_id": "1", "status": "RUNNING"}
        return {
            "experiments/create": {"experiment_id": "1"},
            "runs/create": {"run": {"info": info, "data": {}}},
            "runs/update": {"run_info": info},
        }.get(call, {})

    def metrics(self) -> list[tuple[int, float]]:
        """Steps and values of the metrics that arrived."""
        return [
            (int(metric.get("step", 0)), metric["value"])
            for call, sent in self.calls
            if call == "runs/log-batch"
            for metric in sent.get("metrics", ())
        ]


@pytest.fixture
def fake_mlflow(monkeypatch) -> Iterator[FakeMlflow]:
    """A running fake server, which MLFLOW_TRACKING_URI names."""
    fake = FakeMlflow()
    fake.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", fake.uri)
    yield fake
    fake.stop()
