"""What a step says while it runs: log lines and progress."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

__all__ = ["configure", "get_logger", "progress"]

Item = TypeVar("Item")

ROOT = "evenhand"
FIRST_AFTER = 2.0  # seconds: what is done sooner says nothing
PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal

_shown: list[str] = []


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def get_logger(name: str) -> logging.Logger:
    """Logger of one part; silent until ``configure`` was called, as a library should be."""
    return logging.getLogger(f"{ROOT}.{name}")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: a progress bar puts itself in between."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(step: str, level: int = logging.INFO) -> None:
    """Send log lines to standard error as ``HH:MM:SS step  message``.

    With several processes only the first reports; the others send warnings, with their rank.
    """
    rank = _rank()
    name = step if rank == 0 else f"{step} [process {rank}]"
    handler = _StandardError()
    handler.setFormatter(
        logging.Formatter(f"%(asctime)s {name}  %(levelprefix)s%(message)s", datefmt="%H:%M:%S")
    )
    handler.addFilter(_prefix_level)
    logger = logging.getLogger(ROOT)
    logger.handlers[:] = [handler]
    logger.setLevel(level if rank == 0 else logging.WARNING)
    logger.propagate = False


def _prefix_level(record: logging.LogRecord) -> bool:
    plain = record.levelno <= logging.INFO
    record.levelprefix = "" if plain else f"{record.levelname.lower()}: "
    return True


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _plain_line(label: str, done: int, total: int | None, elapsed: float) -> str:
    if not total:
        return f"{label}: {done} in {_duration(elapsed)}"
    left = elapsed / done * (total - done)
    text = f"{label}: {done}/{total} ({100 * done // total} %) in {_duration(elapsed)}"
    return f"{text}, about {_duration(left)} left" if done < total else text


def _plain(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    logger = get_logger("progress")
    start = time.monotonic()
    due, done, reported = start + FIRST_AFTER, 0, False
    for item in items:
        yield item
        done, now = done + 1, time.monotonic()
        if now >= due and done != total:
            due, reported = now + PLAIN_EVERY, True
            logger.info(_plain_line(label, done, total, now - start))
    if reported:
        logger.info(f"{label}: done, {done} in {_duration(time.monotonic() - start)}")


def _bar(items: Iterable[Item], total: int | None, label: str) -> Iterator[Item]:
    start = time.monotonic()
    bar: Progress | None = None
    try:
        for done, item in enumerate(items, start=1):
            yield item
            if bar is None and time.monotonic() - start >= FIRST_AFTER:
                bar = Progress(
                    TextColumn("{task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeElapsedColumn(),
                    TimeRemainingColumn(),
                    console=Console(stderr=True),
                )
                bar.add_task(label, total=total)
                bar.start()
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
    finally:
        if bar is not None:
            bar.stop()


def progress(
    iterable: Iterable[Item], *, total: int | None = None, label: str = "working"
) -> Iterator[Item]:
    """Yield the items and show how far they are, once that takes more than two seconds.

    On a terminal a bar; elsewhere a log line every ten seconds or so. Inside another progress, and
    in every process but the first, nothing.

    Args:
        iterable: What to go through.
        total: Number of items; taken from the iterable where it has a length.
        label: What is being done.
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if _shown or _rank() > 0:
        yield from iterable
        return
    _shown.append(label)
    show = _bar if sys.stderr.isatty() else _plain
    try:
        yield from show(iterable, total, label)
    finally:
        _shown.clear()
