"""Programs that this one runs and that end with it, whichever thread runs them."""

from __future__ import annotations

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

__all__ = ["call", "ended_together"]

_RUNNING: set[subprocess.Popen[bytes]] = set()
_ENDED = threading.Event()


def call(command: Sequence[str], output: IO[str]) -> int:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        output: Open file for what it prints, errors too.

    Returns:
        Its exit status; negative where a signal ended it.
    """
    with subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as child:
        _RUNNING.add(child)
        try:
            # The signal came before this one could be told.
            if _ENDED.is_set():
                child.terminate()
            return child.wait()
        finally:
            child.kill()
            _RUNNING.discard(child)


@contextmanager
def ended_together() -> Iterator[None]:
    """While the block lasts SIGTERM ends what ``call`` runs, also in other threads, and not this.

    The callers see a failed command. For the main thread.
    """

    def end(*_: object) -> None:
        _ENDED.set()
        for child in set(_RUNNING):
            child.terminate()

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        _ENDED.clear()
