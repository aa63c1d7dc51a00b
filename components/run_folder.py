"""The folder of one run: whose it is, and that no other run's results come to lie in it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from fairness_core.errors import ConfigError

__all__ = ["alone", "run_folder"]

PARAMS, FINISHED, LOCK = "params.yaml", "run.json", "run.lock"
# What a run may have more of, or other values of, and stay the same run: how much is measured, how
# it is shown and judged, and where it is computed.
MAY_DIFFER = (
    "run",
    "generate_prompts.test_images",
    "generate_prompts.named_images",
    "generate_prompts.scene_images",
    "baselines",
    "measure_images",
    "evaluate_bias",
    "report",
    "audit",
    "gate",
    "sweep",
)
SHOWN = 5  # differences that are named


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Let one process into the block; others wait until it has left or ended.

    Args:
        lock: A file for this, made where there is none.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@contextmanager
def run_folder(folder: Path, values: Mapping[str, Any]) -> Iterator[None]:
    """Hold a run's folder, with these parameters in its ``params.yaml``.

    A run that another process has begun is waited for.

    Args:
        folder: ``NAME/seed-N``, made where there is none.
        values: The run's parameters.

    Raises:
        ConfigError: A run with other values has finished there or is under way; nothing of it is
            touched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / FINISHED).is_file() or _held(folder / LOCK):
        _refuse_others(folder, values)
    with alone(folder / LOCK):
        # It may have finished while this one waited.
        if (folder / FINISHED).is_file():
            _refuse_others(folder, values)
        text = yaml.safe_dump(dict(values), sort_keys=False)
        (folder / PARAMS).write_text(text, encoding="utf-8")
        yield


def _held(lock: Path) -> bool:
    if not lock.is_file():
        return False
    with lock.open("r+") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _refuse_others(folder: Path, values: Mapping[str, Any]) -> None:
    path = folder / PARAMS
    there = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    other = [*_differences(there or {}, values)]
    if other:
        more = [f"and {len(other) - SHOWN} more"] if len(other) > SHOWN else []
        raise ConfigError(
            "This folder holds a run with other parameters",
            given=f"{folder}: {'; '.join([*other[:SHOWN], *more])}",
            do="give --name LABEL, which keeps them apart; what both have in common is made once",
        )


def _differences(there: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[str]:
    """What makes it another run; a key that is new since then is none of it."""
    for name, section in values.items():
        old = there.get(name, section)
        if name == "attributes":
            if old != section:
                yield f"attributes are {old} there and {section} here"
            continue
        for key, value in section.items():
            place = f"{name}.{key}"
            before = old.get(key, value)
            if before != value and not {name, place} & {*MAY_DIFFER}:
                yield f"{place} is {before} there and {value} here"
