"""The training of a pipeline's task: in this process, in several here, or on several nodes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from components.finetune.trainjob import Owner, Plan
from fairness_core.errors import ConfigError, EvenhandError

__all__ = ["launch"]

PROCESSES = "EVENHAND_PROCESSES"
STEP = "components.finetune.main"
INPUTS = ("params", "prompts", "classifiers", "bank")


def launch(argv: Sequence[str]) -> int:
    """Run the step's command line as the task's variables say; gives its exit status.

    Args:
        argv: Of ``components.finetune.main``: options with one value each, and ``--part``.
    """
    try:
        plan = Plan.from_environment()
        if plan is not None:
            _on_nodes(plan, Owner.from_environment(), argv)
            return 0
        text = os.environ.get(PROCESSES) or "1"
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError("A number of processes is needed", given=f"{PROCESSES}={text}")
        if int(text) > 1:
            return _here(int(text), argv)
    except EvenhandError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.status
    from components.finetune.main import main

    return main(argv)


def _here(processes: int, argv: Sequence[str]) -> int:
    """Several processes in this pod, which meet on a port that torchrun finds."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, f"--nproc-per-node={processes}", "-m", STEP, *argv]
    return subprocess.run(command, check=False).returncode


def _on_nodes(plan: Plan, owner: Owner, argv: Sequence[str]) -> None:
    """Put what the step reads where all nodes see it, train there, fetch what it wrote."""
    from components.finetune.follow import follow
    from fairness_core.runtime.logs import configure

    configure("finetune")
    options = _options(argv)
    key = _key(options)
    name = f"evenhand-{owner.run[:8]}-{key[:12]}"
    workspace = Path(plan.workspace)
    shared = workspace / "trainjobs" / name
    shutil.rmtree(shared, ignore_errors=True)
    there = {one: _copy(Path(options[one]), shared / one) for one in INPUTS}
    checkpoints = Path(options["checkpoints"])
    if not checkpoints.is_relative_to(workspace):
        # Theirs outlive the TrainJob, as those of a single pod outlive it.
        checkpoints = workspace / "checkpoints" / key[:24]
    originals = Path(options.get("originals", ""))
    if not originals.is_relative_to(workspace):
        originals = workspace / "originals"
    there |= {
        "checkpoints": checkpoints,
        "originals": originals,
        "out": shared / "out",
        "metrics": shared / "metrics.json",
    }
    words = [word for one, place in there.items() for word in (f"--{one}", str(place))]
    node = [sys.executable, "-m", "components.finetune.node", str(shared / "alive")]
    follow(plan, owner, name, [*node, "--part", *words], shared / "alive")
    _copy(there["out"], Path(options["out"]))
    _copy(there["metrics"], Path(options["metrics"]))
    shutil.rmtree(shared, ignore_errors=True)


def _options(argv: Sequence[str]) -> dict[str, str]:
    words = [word for word in argv if word != "--part"]
    return {
        name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)
    }


def _key(options: dict[str, str]) -> str:
    """Of everything that the result depends on: the same training gets the same name."""
    found = hashlib.sha256()
    for name in INPUTS:
        path = Path(options[name])
        found.update((path / "manifest.json" if path.is_dir() else path).read_bytes())
    return found.hexdigest()


def _copy(source: Path, target: Path) -> Path:
    if not source.exists():
        raise ConfigError("The training has ended and not written", given=source)
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
    return target
