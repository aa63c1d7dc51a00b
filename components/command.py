"""What the command lines of all steps share: parameters, logs, device, tracking, clear errors."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fairness_core.config import Params, load
from fairness_core.errors import EvenhandError
from fairness_core.runtime.device import prepare
from fairness_core.runtime.distributed import World
from fairness_core.runtime.logs import configure, get_logger
from fairness_core.runtime.tracking import open_run

__all__ = ["step_command"]


def step_command(
    step: str,
    run: Callable[..., None],
    *,
    sections: Sequence[str],
    arguments: Sequence[str] | None = None,
) -> None:
    """Run a step from the command line, and end the process with its exit status.

    The step's ``run(params, *, tracker, ...)`` gets the checked parameters, an open tracker, and,
    if it names them, ``device`` and ``world``. Every other keyword of it becomes an option: a
    ``Path`` must be given, a ``str`` too unless it has a default.

    Args:
        step: Its name in logs and in MLflow.
        run: The step.
        sections: Sections of the parameters that it reads; these are tracked.
        arguments: The command line; the process's own when None.
    """
    given = {"params", "tracker", "device", "world"}
    wanted = inspect.signature(run, eval_str=True).parameters
    parser = argparse.ArgumentParser(description=inspect.getdoc(run))
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    for name, parameter in wanted.items():
        if name not in given:
            required = parameter.default is inspect.Parameter.empty
            default = None if required else parameter.default
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=parameter.annotation if parameter.annotation in (Path, str) else str,
                required=required,
                default=default,
            )
    options = vars(parser.parse_args(arguments))
    configure(step)
    try:
        params = load(options.pop("params"), options.pop("set"))
        _run(step, run, params, sections, options, wanted)
    except EvenhandError as error:
        get_logger(step).error("%s", error)
        sys.exit(1)


def _run(
    step: str,
    run: Callable[..., None],
    params: Params,
    sections: Sequence[str],
    options: dict[str, Any],
    wanted: Any,
) -> None:
    device = prepare(params.run.device, params.run.threads)
    shared: dict[str, Any] = {}
    if "device" in wanted:
        shared["device"] = device
    rank_is_main = True
    if "world" in wanted:
        shared["world"] = World(device)
        rank_is_main = shared["world"].is_main
    tracked = {name: params.section(name) for name in sections}
    with open_run(
        step,
        tracked,
        enabled=params.run.tracking and rank_is_main,
        experiment=params.run.name,
        tags={"seed": str(params.run.seed)},
    ) as tracker:
        run(params, tracker=tracker, **shared, **options)
