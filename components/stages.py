"""The stages of ``dvc.yaml``: what each runs, reads and writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError

__all__ = ["PLACES", "RUN_STEPS", "Stage", "read_stages", "stages_until"]

PLACES = ("artifacts/", "metrics/")
# Of a whole run, whoever runs them.
RUN_STEPS = (
    "generate_prompts",
    "calibrate_classifier",
    "build_bank",
    "finetune",
    "publish",
    "generate_images",
    "generate_baselines",
    "measure_images",
    "evaluate_bias",
    "report",
    "gate",
)


@dataclass(frozen=True)
class Stage:
    """One stage of ``dvc.yaml``; paths are as written there.

    Attributes:
        name: Its name, with ``@key`` where the file repeats it.
        command: Words of its command line.
        inputs: Artifacts it reads.
        params: Sections and values it reads.
        outputs: Artifacts and metrics it writes.
    """

    name: str
    command: tuple[str, ...]
    inputs: tuple[str, ...]
    params: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def step(self) -> str:
        """The step that it runs."""
        return self.name.partition("@")[0]


def read_stages(path: Path) -> list[Stage]:
    """Stages of a ``dvc.yaml`` whose order is an order to run them in.

    Raises:
        ConfigError: The file is missing or holds no stages.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        entries = content["stages"].items()
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(
            "The pipeline file cannot be read", given=path, do="run from a checkout's root"
        ) from error
    found = []
    for name, entry in entries:
        items = entry.get("foreach", {"": {}})
        for key, item in items.items():
            text = yaml.safe_dump(entry["do"] if "foreach" in entry else entry)
            text = text.replace("${key}", key)
            for field, value in item.items():
                text = text.replace("${item." + field + "}", value)
            found.append(_stage(f"{name}@{key}" if key else name, yaml.safe_load(text)))
    return found


def stages_until(stages: Iterable[Stage], until: str | None) -> list[Stage]:
    """The stages up to the one named, or all.

    Raises:
        ConfigError: There is no stage of that name.
    """
    found = list(stages)
    names = [stage.name for stage in found]
    if until is not None and until not in names:
        raise ConfigError("There is no such stage", given=until, do=f"name one of {names}")
    return found[: names.index(until) + 1] if until else found


def _stage(name: str, entry: Mapping[str, Any]) -> Stage:
    outputs = [*entry.get("outs", []), *entry.get("metrics", [])]
    return Stage(
        name=name,
        command=tuple(shlex.split(entry["cmd"])),
        inputs=tuple(path for path in entry["deps"] if path.startswith(PLACES)),
        params=tuple(entry["params"]),
        outputs=tuple(next(iter(out)) if isinstance(out, dict) else out for out in outputs),
    )
