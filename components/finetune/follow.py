"""Training on several nodes from one step: make the TrainJob, follow it, leave nothing behind."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.finetune.trainer import ClusterError, Trainer
from components.finetune.trainjob import Owner, Plan, manifest
from fairness_core.runtime.logs import get_logger

__all__ = ["follow"]

EVERY = 10.0  # seconds between looks
PATIENCE = 30  # looks in a row that may fail: the API server is being replaced, say
LAST_LINES = 20
STOPPED = 128 + signal.SIGTERM
ENDS = {"Complete": True, "Failed": False}

_log = get_logger("finetune.nodes")


def follow(
    plan: Plan,
    owner: Owner,
    name: str,
    command: list[str],
    alive: Path,
    *,
    every: float | None = None,
    out: Callable[[str], Any] = sys.stdout.write,
) -> None:
    """Train in a TrainJob and print what its first node prints, until it has ended.

    A TrainJob of that name that an earlier attempt left is removed first. However this ends, by
    success, failure or the run's cancellation (SIGTERM), the TrainJob is removed; if the pod is
    killed before it can, Kubernetes removes it after the pod, and its processes end by themselves
    when nobody touches ``alive`` any more.

    Args:
        plan: What it asks for.
        owner: This pod.
        name: Of the TrainJob.
        command: Of each node.
        alive: File on the shared volume that says that somebody follows.
        every: Seconds between looks; None: ten.
        out: Takes lines of the log.

    Raises:
        ClusterError: It failed, was removed by somebody else, or the cluster refused.
        SystemExit: The run was cancelled.
    """
    trainer, every = Trainer(owner.namespace), EVERY if every is None else every
    with _Stop() as stop:
        _remove(trainer, name, every, stop)
        alive.parent.mkdir(parents=True, exist_ok=True)
        alive.touch()
        try:
            stop.sleep(0)
            trainer.create(manifest(plan, owner, name, command))
            _log.info("TrainJob %s on %d nodes", name, plan.nodes)
            _watch(trainer, name, alive, every, out, stop)
        finally:
            # The error that is on its way says more than one about cleaning up.
            with suppress(ClusterError):
                trainer.delete(name)


def _watch(
    trainer: Trainer, name: str, alive: Path, every: float, out: Callable[[str], Any], stop: _Stop
) -> None:
    copied, failures, seen = _Log(trainer, name, out), 0, False
    while True:
        alive.touch()
        try:
            conditions = trainer.conditions(name)
            copied.more()
            failures = 0
        except ClusterError as error:
            failures += 1
            if failures >= PATIENCE:
                raise
            _log.warning("%s", error)
            stop.sleep(every)
            continue
        if conditions is None:
            raise ClusterError("The TrainJob was removed by somebody else", given=name)
        if "Suspended" in conditions and not seen:
            _log.info("It waits for its place in the queue")
            seen = True
        for kind, well in ENDS.items():
            if kind in conditions:
                copied.more()
                if well:
                    return
                raise ClusterError(
                    f"The training failed: {conditions[kind] or 'no reason is given'}",
                    given=name,
                    do=f"read the last lines of its nodes:\n{_last_words(trainer, name)}",
                )
        stop.sleep(every)


class _Log:
    """The first node's log, line after line, whatever connection was lost in between."""

    def __init__(self, trainer: Trainer, name: str, out: Callable[[str], Any]) -> None:
        self._trainer, self._name, self._out = trainer, name, out
        self._pod, self._last, self._asked = "", "", 0.0

    def more(self) -> None:
        """Print what is new."""
        if not self._pod:
            self._pod = self._trainer.pods(self._name).get(0, "")
            if not self._pod:
                return
        now = time.monotonic()
        # Half a minute twice rather than a line never.
        since = None if not self._last else int(now - self._asked) + 30
        text = self._trainer.log(self._pod, since)
        self._asked = now
        for line in text.splitlines():
            stamp, _, words = line.partition(" ")
            if stamp > self._last:
                self._last = stamp
                self._out(words + "\n")


def _last_words(trainer: Trainer, name: str) -> str:
    found = []
    with suppress(ClusterError):
        for number, pod in sorted(trainer.pods(name).items()):
            lines = trainer.log(pod, None).splitlines()[-LAST_LINES:]
            found += [f"node {number}: {line.partition(' ')[2]}" for line in lines]
    return "\n".join(found) or "they have printed nothing"


def _remove(trainer: Trainer, name: str, every: float, stop: _Stop) -> None:
    """Two trainings must not write to one folder: wait until a former one is gone."""
    if trainer.conditions(name) is None:
        return
    _log.warning("Removing a TrainJob that an earlier attempt has left")
    trainer.delete(name)
    for _ in range(PATIENCE):
        if trainer.conditions(name) is None:
            return
        stop.sleep(every)
    raise ClusterError(
        "A TrainJob of an earlier attempt does not end", given=name, do="look at its pods"
    )


class _Stop:
    """Waits between looks; SIGTERM (a cancelled run, a node that is taken away) ends the waiting.

    Nothing is broken off in the middle: the request that runs is finished first.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> _Stop:
        if self._main:
            self._before = signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)

    def sleep(self, seconds: float) -> None:
        """Wait, unless there is no time left to.

        Raises:
            SystemExit: SIGTERM has come.
        """
        if self._asked.wait(seconds):
            raise SystemExit(STOPPED)
