"""Messages to a server that may go away: kept, sent again later, and written down meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from fairness_core.runtime.files import atomic_file
from fairness_core.runtime.logs import get_logger

__all__ = ["Message", "Outbox", "RefusedError", "UnreachableError"]

SEND_EVERY = 2.0  # seconds between batches of metrics
RETRY_AFTER = 30.0  # seconds of silence after a failure: training must not wait at each step
AT_MOST = 500  # messages in a batch


class UnreachableError(Exception):
    """The server cannot be reached now."""


class RefusedError(Exception):
    """The server was reached and will never take this message."""


@dataclass(frozen=True)
class Message:
    """One thing to log.

    Attributes:
        kind: metrics, params, artifact, inputs, model or end.
        content: Values by name; for an artifact ``path`` and ``folder``; for inputs ``context``
            and ``data`` (name to ``sha256`` and ``path``); for a model ``name``, ``path``,
            ``params`` and ``tags``; for end ``status``.
        time: Milliseconds since 1970.
        step: Iteration of metrics.
    """

    kind: Literal["metrics", "params", "artifact", "inputs", "model", "end"]
    content: dict[str, Any]
    time: int
    step: int = 0


Send = Callable[[Sequence[Message]], None]


class Outbox:
    """Sends messages in order, in batches, without ever stopping the work.

    Args:
        send: Delivers messages of one kind, or raises ``UnreachableError`` or ``RefusedError``.
        unsent: JSON-lines file that holds what could not be sent, while there is any.
        clock: Seconds that only grow.
    """

    def __init__(
        self, send: Send, unsent: Path, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send, self._clock, self._unsent = send, clock, unsent
        self._waiting: list[Message] = []
        self._refused: list[Message] = []
        self._next = 0.0
        self._failing = self._warned = False

    def put(self, message: Message) -> None:
        """Add a message; send what waits when it is time."""
        self._waiting.append(message)
        full = len(self._waiting) >= AT_MOST or message.kind != "metrics"
        if self._clock() >= self._next or (full and not self._failing):
            self.flush()
        elif self._failing:
            with self._unsent.open("a", encoding="utf-8") as file:
                file.write(_line(message))

    @property
    def left(self) -> int:
        """Messages that are not with the server."""
        return len(self._waiting) + len(self._refused)

    def flush(self) -> None:
        """Send everything that waits, as far as the server takes it."""
        before = self._failing, len(self._refused)
        try:
            while self._waiting:
                self._send_batch()
        except UnreachableError as error:
            self._failing, self._next = True, self._clock() + RETRY_AFTER
            if not self._warned:
                self._warned = True
                get_logger("tracking").warning(
                    f"tracking is interrupted, the work goes on: {error}. "
                    f"What cannot be sent is kept in {self._unsent}"
                )
        else:
            self._failing, self._next = False, self._clock() + SEND_EVERY
            if before[0]:
                get_logger("tracking").info("tracking works again; what had waited is sent")
        if self._failing or before != (False, len(self._refused)):
            self._write_down()

    def _send_batch(self) -> None:
        batch = self._batch()
        try:
            self._send(batch)
        except RefusedError as error:
            self._refused += batch
            get_logger("tracking").warning(
                f"the tracking server refused {batch[0].kind}, kept in {self._unsent}: {error}"
            )
        del self._waiting[: len(batch)]

    def _batch(self) -> list[Message]:
        kind = self._waiting[0].kind
        if kind != "metrics":
            return self._waiting[:1]
        end = next(
            (n for n, message in enumerate(self._waiting) if message.kind != kind),
            len(self._waiting),
        )
        return self._waiting[: min(end, AT_MOST)]

    def _write_down(self) -> None:
        left = [*self._refused, *self._waiting]
        if not left:
            self._unsent.unlink(missing_ok=True)
            return
        with atomic_file(self._unsent) as temporary:
            temporary.write_text("".join(map(_line, left)), encoding="utf-8")


def _line(message: Message) -> str:
    return json.dumps(asdict(message), ensure_ascii=False, default=str) + "\n"
