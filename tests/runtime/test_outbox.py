from __future__ import annotations

import json

import pytest

from fairness_core.runtime import outbox
from fairness_core.runtime.outbox import Message, Outbox, RefusedError, UnreachableError


class Server:
    """Takes messages unless told otherwise; its clock stands still."""

    def __init__(self) -> None:
        self.now, self.calls, self.got, self.error = 100.0, 0, [], None

    def clock(self) -> float:
        return self.now

    def send(self, messages) -> None:
        self.calls += 1
        if self.error is not None:
            raise self.error
        self.got += messages


@pytest.fixture
def server():
    """A reachable server."""
    return Server()


@pytest.fixture
def file(tmp_path):
    """Where unsent messages go."""
    return tmp_path / "run" / "messages.jsonl"


@pytest.fixture
def box(server, file):
    """An outbox whose first message has been sent, so that its rhythm has begun."""
    box = Outbox(server.send, file, clock=server.clock)
    box.put(metric(0))
    return box


def metric(step: int) -> Message:
    return Message("metrics", {"loss": step / 2}, time=step, step=step)


def steps(messages) -> list[int]:
    return [message.step for message in messages]


def written(file) -> list[int]:
    return [json.loads(line)["step"] for line in file.read_text().splitlines()]


def test_metrics_go_in_batches(box, server, file):
    for step in (1, 2, 3):
        box.put(metric(step))
    assert (server.calls, box.left) == (1, 3)
    server.now += outbox.SEND_EVERY
    box.put(metric(4))
    assert (server.calls, box.left) == (2, 0)
    assert steps(server.got) == [0, 1, 2, 3, 4]
    assert not file.exists()


def test_anything_else_goes_at_once_and_in_order(box, server):
    box.put(metric(1))
    box.put(Message("params", {"rank": "8"}, time=2))
    assert [message.kind for message in server.got] == ["metrics", "metrics", "params"]


def test_a_full_box_does_not_wait(box, server, monkeypatch):
    monkeypatch.setattr(outbox, "AT_MOST", 3)
    for step in range(1, 6):
        box.put(metric(step))
    assert steps(server.got) == [0, 1, 2, 3]


def test_a_lost_server_is_not_asked_at_every_step(box, server, file, caplog):
    server.error = UnreachableError("connection refused")
    server.now += outbox.SEND_EVERY
    for step in range(1, 50):
        box.put(metric(step))
    box.put(Message("params", {}, time=1, step=50))
    assert server.calls == 2
    assert written(file) == list(range(1, 51))
    server.now += outbox.RETRY_AFTER
    box.put(metric(51))
    assert server.calls == 3
    assert written(file) == list(range(1, 52))
    interrupted = [r.message for r in caplog.records if "interrupted" in r.message]
    assert len(interrupted) == 1
    assert f"connection refused. What cannot be sent is kept in {file}" in interrupted[0]


def test_a_server_that_returns_gets_everything_once(box, server, file):
    server.error = UnreachableError("gone")
    server.now += outbox.SEND_EVERY
    for step in range(1, 5):
        box.put(metric(step))
    server.error = None
    server.now += outbox.RETRY_AFTER
    box.put(metric(5))
    assert steps(server.got) == [0, 1, 2, 3, 4, 5]
    assert not file.exists()
    assert box.left == 0


def test_the_file_holds_only_what_was_not_sent(box, server, file):
    def send(messages):
        if messages[0].kind == "params":
            raise UnreachableError("gone")
        server.got.extend(messages)

    box._send = send
    box.put(metric(1))
    box.put(Message("params", {"a": "b"}, time=2, step=2))
    assert steps(server.got) == [0, 1]
    assert written(file) == [2]


def test_what_is_refused_is_kept_and_stops_nothing(box, server, file, caplog):
    server.error = RefusedError("parameter rank was already logged")
    box.put(Message("params", {"rank": "9"}, time=1, step=1))
    server.error = None
    box.put(Message("params", {"rank": "8"}, time=2, step=2))
    assert steps(server.got) == [0, 2]
    assert written(file) == [1]
    assert box.left == 1
    assert "refused params, kept in" in caplog.text
