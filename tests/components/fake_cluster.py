"""A cluster's API, as far as TrainJobs go: strict bodies, the rights that our manifests grant."""

from __future__ import annotations

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import yaml
from kubeflow_trainer_api.models import TrainerV1alpha1TrainJob

from tests.conftest import REPOSITORY

ACCOUNTS = REPOSITORY / "infra" / "kubernetes" / "base" / "runs" / "accounts.yaml"
JOBS = re.compile(r"/apis/(trainer\.kubeflow\.org)/v1alpha1/namespaces/(\w+)/(trainjobs)(?:/(.+))?")
PODS = re.compile(r"/api/v1/namespaces/(\w+)/pods(?:/([\w-]+)/log)?")
PLAIN = {"POST": "create", "GET": "get", "DELETE": "delete"}


def granted():
    """Calls that the account of runs may make for a training."""
    roles = [one for one in yaml.safe_load_all(ACCOUNTS.read_text()) if one["kind"] == "Role"]
    (rules,) = [r["rules"] for r in roles if r["metadata"]["name"] == "evenhand-runs-trainjobs"]
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def strict(body):
    """A TrainJob as the published models read it: a field they do not have is refused."""
    found = TrainerV1alpha1TrainJob.from_dict(body).to_dict()
    assert found == body, "unknown fields or other values"
    return body


class FakeCluster:
    """What there is and how it behaves.

    Attributes:
        jobs: By name.
        made: Bodies of all that were made.
        calls: Group, resource, verb of every request.
        looks: Requests for a job until it ends.
        ending: The condition it ends with, and its message.
        lines: Of the first node's log, one more with each look.
        slow_to_go: Looks for which a deleted job is still there.
        train: Called when a job is made, with its body.
        behave: Verb and resource to a status that is answered instead, once for each in the list.
    """

    def __init__(self):
        self.jobs, self.made, self.calls = {}, [], []
        self.looks, self.ending = 3, ("Complete", "done")
        self.lines = ["one", "two", "three"]
        self.slow_to_go, self.going = 0, {}
        self.train = lambda body: None
        self.behave = {}
        self.rights = granted()
        self.seen = 0

    def conditions(self):
        ended = self.seen >= self.looks
        kind, message = self.ending
        return [
            {"type": "Suspended", "status": "False", "message": "resumed"},
            {"type": kind, "status": str(ended), "message": message},
        ]

    def log(self):
        return "".join(
            f"2026-11-28T12:00:{number:02d}.000000000Z {line}\n"
            for number, line in enumerate(self.lines[: self.seen])
        )


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def answer(self, status, content):
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def handle_any(self):
        fake, parts = self.server.fake, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if found := JOBS.fullmatch(parts.path):
            call = (found[1], found[3], PLAIN[self.command])
        else:
            found = PODS.fullmatch(parts.path)
            call = ("", "pods/log", "get") if found[2] else ("", "pods", "list")
        fake.calls.append(call)
        if planned := fake.behave.get((call[2], call[1])):
            return self.answer(planned.pop(0), {"message": "the cluster says why"})
        if call not in fake.rights:
            return self.answer(403, {"message": f"cannot {call[2]} {call[1]}"})
        if call[1] == "trainjobs":
            return self.answer(*self.job(fake, call[2], found[4], body))
        if call[1] == "pods/log":
            return self.answer(200, fake.log())
        query = parse_qs(parts.query)["labelSelector"][0]
        name = query.removeprefix("jobset.sigs.k8s.io/jobset-name=")
        return self.answer(200, {"items": [pod(name, n) for n in (1, 0)] if fake.seen else []})

    def job(self, fake, verb, name, body):
        if verb == "create":
            try:
                made = strict(body)
            except (AssertionError, ValueError) as error:
                return 400, {"message": f"bad body: {error}"}
            fake.jobs[made["metadata"]["name"]] = made
            fake.made.append(made)
            fake.seen = 0
            fake.train(made)
            return 201, made
        if name in fake.going:
            fake.going[name] -= 1
            if fake.going[name] < 0:
                fake.going.pop(name)
                fake.jobs.pop(name)
        if name not in fake.jobs:
            return 404, {"message": "not found"}
        if verb == "delete":
            fake.going[name] = fake.slow_to_go
            return 200, {}
        fake.seen += 1
        return 200, {**fake.jobs[name], "status": {"conditions": fake.conditions()}}

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815 - names of the base class


def pod(name, number):
    return {
        "metadata": {
            "name": f"{name}-node-0-{number}",
            "labels": {"batch.kubernetes.io/job-completion-index": str(number)},
        },
        "status": {"phase": "Running"},
    }


@contextmanager
def serving():
    from kubernetes import client

    fake = FakeCluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.fake, server.daemon_threads = fake, True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    before = client.Configuration.get_default_copy()
    there = client.Configuration(host=f"http://127.0.0.1:{server.server_port}")
    there.retries = False
    client.Configuration.set_default(there)
    try:
        yield fake
    finally:
        client.Configuration.set_default(before)
        server.shutdown()
        server.server_close()
