"""What the body of every pipeline task shares: it calls the step's own command line.

Nothing here is about kfp: a task gets its parameters as text, paths of what it reads and writes,
and the rest (where runs are tracked, where checkpoints lie) from the environment of its pod.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from components.checkpoint_store import mirrored

__all__ = [
    "CHECKPOINTS",
    "ORIGINALS",
    "TRACKING",
    "checkpoint_folder",
    "kept_checkpoints",
    "kept_originals",
    "log_figures",
    "originals_folder",
    "policy_file",
    "run_step",
]

# Folder, here or in an object store, that outlives a pod, or a workspace of DVC's own; where it is
# not set, checkpoints end with the task.
CHECKPOINTS = "EVENHAND_CHECKPOINTS"
# Folder of latents that every run may read; where it is not set, a task's end with it, and those of
# a command line are kept below its working directory.
ORIGINALS = "EVENHAND_ORIGINALS"
EXPERIMENT, TRACKING = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TRACKING_URI"
# "0": the pod has the server's address, and this run is not tracked all the same.
WANTED = "EVENHAND_TRACKING"
Option = str | Path | Sequence[str]


class Figures(Protocol):
    """The part of kfp's ``Metrics`` that is used."""

    path: str

    def log_metric(self, metric: str, value: float) -> None:
        """Show a number on the run's page."""


def run_step(
    main: Callable[[Sequence[str]], int], parameters: str, **options: Option | None
) -> None:
    """Run a step's command line; a step that fails ends the process with its status.

    Args:
        main: The step's ``main``.
        parameters: JSON of the values that the step reads. The experiment's name and whether to
            track come from MLflow's own variables: they decide no result, and would repeat work
            that is cached.
        **options: The step's own options: ``prompts="/a"`` becomes ``--prompts /a``; a sequence is
            repeated, None is left out.
    """
    values = json.loads(parameters)
    values["run"] |= {
        "name": os.environ.get(EXPERIMENT) or "evenhand",
        "tracking": bool(os.environ.get(TRACKING)) and os.environ.get(WANTED) != "0",
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "parameters.json")
        file.write_text(json.dumps(values), encoding="utf-8")
        status = main(["--part", "--params", str(file), *_words(options)])
    if status:
        sys.exit(status)


def _words(options: Mapping[str, Option | None]) -> Iterator[str]:
    for name, value in options.items():
        many = [] if value is None else [value] if isinstance(value, str | Path) else value
        for one in many:
            yield from (f"--{name}", str(one))


@contextmanager
def policy_file(policy: str) -> Iterator[Path]:
    """The gate's policy, which comes as the JSON of its text, as a file inside the block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "policy.yaml")
        file.write_text(json.loads(policy), encoding="utf-8")
        yield file


@contextmanager
def checkpoint_folder(parameters: str, output: str, *inputs: str) -> Iterator[Path]:
    """Where a task keeps what it needs to go on after its pod was taken away.

    The folder's name follows from parameters and inputs, so that a retry finds what the first
    attempt left, and runs side by side keep out of each other's way. It is removed when the block
    ends without an error.

    Args:
        parameters: As given to `run_step`.
        output: Beside it lies the folder where no lasting one is set.
        *inputs: Folders of steps; their manifests enter the name.
    """
    lasting = os.environ.get(CHECKPOINTS)
    folder = Path(f"{output}.checkpoints")
    with ExitStack() as stack:
        if lasting:
            digest = hashlib.sha256(parameters.encode())
            for read in inputs:
                digest.update(Path(read, "manifest.json").read_bytes())
            name = digest.hexdigest()[:24]
            if "://" not in lasting:
                folder = Path(lasting, name)
            elif os.environ.get("EVENHAND_TRAINJOB") is None:
                # Several nodes share a volume, and keep their checkpoints there.
                stack.enter_context(mirrored(f"{lasting.rstrip('/')}/{name}", folder))
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def originals_folder(output: str) -> Path:
    """Where the frozen model's latents are kept; beside the output where no lasting place is set.

    Results do not depend on what is there.
    """
    lasting = os.environ.get(ORIGINALS)
    return Path(lasting) if lasting else Path(f"{output}.originals")


def kept_checkpoints(given: Path, usual: Path) -> Path:
    """Where a command line keeps checkpoints: its own place, or one that outlives its workspace.

    Args:
        given: On the command line.
        usual: The place of every run, below the working directory; another one was chosen.
    """
    lasting = os.environ.get(CHECKPOINTS, "")
    return Path(lasting) if given == usual and lasting and "://" not in lasting else given


def kept_originals() -> Path:
    """Where a command line keeps the frozen model's latents that it is not told a place for."""
    return Path(os.environ.get(ORIGINALS) or "artifacts/originals")


def log_figures(metrics: Figures) -> None:
    """Show the numbers of the JSON file that a step wrote to ``metrics.path``."""
    for name, value in _flat(json.loads(Path(metrics.path).read_text(encoding="utf-8")), ""):
        metrics.log_metric(name, value)


def _flat(value: Any, name: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield name, float(value)
