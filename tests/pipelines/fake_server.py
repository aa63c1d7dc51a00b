"""A Kubeflow Pipelines server's API, small, that takes only bodies of the published models."""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import kfp_server_api

TOKEN = "good"
CREATED = {
    "experiments": ("experiment_id", "V2beta1Experiment"),
    "runs": ("run_id", "V2beta1Run"),
    "recurringruns": ("recurring_run_id", "V2beta1RecurringRun"),
}
LISTED = {"recurringruns": "recurringRuns"}


class FakeServer:
    """What it has been given, and how it is to behave.

    Attributes:
        stored: Created things by kind, in order.
        behave: (method, kind) to what happens instead: a status, ``hang`` (no answer, nothing
            stored), ``store-hang`` or ``store-500`` (it is stored, and the answer lost).
        asked: Every request: method, path.
    """

    def __init__(self):
        self.stored = {kind: [] for kind in CREATED}
        self.behave = {}
        self.asked = []
        self.terminated = []
        self.multi_user = False
        self.url = ""

    def validated(self, kind, body):
        """The body as the client library's own model reads it: unknown keys, types, values."""
        model = getattr(kfp_server_api, CREATED[kind][1])
        known = set(model.attribute_map.values())
        assert set(body) <= known, set(body) - known
        answer = SimpleNamespace(data=json.dumps(body))
        read = kfp_server_api.ApiClient().deserialize(answer, model)
        assert read.display_name
        if kind != "experiments":
            assert isinstance(read.pipeline_spec, dict)
            spec = read.pipeline_spec.get("pipeline_spec", read.pipeline_spec)
            assert {"root", "components", "deploymentSpec", "pipelineInfo"} <= set(spec)
            assert read.experiment_id in [e["experiment_id"] for e in self.stored["experiments"]]
            wanted = set(spec["root"]["inputDefinitions"]["parameters"])
            assert set(read.runtime_config.parameters) == wanted
        return body

    def create(self, kind, body):
        made = self.validated(kind, body) | {
            CREATED[kind][0]: f"{kind}-{len(self.stored[kind])}",
            "state": "PENDING",
        }
        if kind != "runs":
            made.pop("state")
        self.stored[kind].append(made)
        return made

    def list(self, kind, query):
        wanted = json.loads(query["filter"][0])["predicates"][0]["string_value"]
        found = [one for one in self.stored[kind] if one["display_name"] == wanted]
        return {LISTED.get(kind, kind): found}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def answer(self, status, content):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def handle_any(self):
        fake = self.server.fake
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        fake.asked.append((self.command, parts.path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"message": "token is expired"})
        kind = re.sub(r"^/apis/v\w+/", "", parts.path).split("/")[0]
        how = fake.behave.get((self.command, kind), "")
        if isinstance(how, int):
            return self.answer(how, {"message": "the server says why"})
        if how == "hang":
            time.sleep(1.5)
            return None
        try:
            status, content = self.route(fake, parts, kind, body)
        except AssertionError as error:
            status, content = 400, {"message": f"bad body: {error}"}
        if how.startswith("store") and status == 200:
            if how == "store-500":
                return self.answer(500, {"message": "lost"})
            time.sleep(1.5)
            return None
        return self.answer(status, content)

    def route(self, fake, parts, kind, body):
        path = parts.path
        if path.endswith("/healthz"):
            return 200, {"multi_user": fake.multi_user}
        if log := re.fullmatch(r"/apis/v1alpha1/runs/([\w-]+)/nodes/([\w-]+)/log", path):
            return 200, f"log of {log[2]}\n".encode()
        rest = path.removeprefix(f"/apis/v2beta1/{kind}")
        if not rest:
            query = parse_qs(parts.query)
            made = fake.create(kind, body) if self.command == "POST" else fake.list(kind, query)
            return 200, made
        name, _, verb = rest[1:].partition(":")
        same = [one for one in fake.stored[kind] if one[CREATED[kind][0]] == name]
        if not same:
            return 404, {"message": f"{name} not found"}
        if verb == "terminate":
            fake.terminated.append(name)
            return 200, {}
        return 200, same[0]

    do_GET = do_POST = handle_any  # noqa: N815 - names of the base class


@contextmanager
def serving(certificate=None):
    """Args: certificate: files of a certificate and its key; with them it speaks https."""
    fake = FakeServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake = fake
    server.daemon_threads = True
    fake.url = f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
