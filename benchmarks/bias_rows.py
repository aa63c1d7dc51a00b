"""The experiments of ``bias_against_compute``: what is varied, and how they are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import say
from components.children import ended_together
from components.experiments import Experiment, run_experiment
from components.stages import read_stages
from fairness_core.config import find_preset
from fairness_core.errors import ConfigError

__all__ = ["COMMON", "PRESET", "ROWS", "Row", "Runner", "chosen", "experiments_of", "run_rows"]

UNTIL = "evaluate_bias"


@dataclass(frozen=True)
class Row:
    """An experiment of the table.

    Attributes:
        name: Shown.
        about: Of its folder, after the preset's name.
        settings: ``key=value`` of section ``finetune``, laid over the preset and ``COMMON``.
    """

    name: str
    about: str
    settings: tuple[str, ...]


PRESET = "portraits-gender"
COMMON = (
    "generate_prompts.test_images=60",
    "finetune.lambda_image=1",
    "finetune.noise_sets=null",
    "finetune.learning_rate_decay=0",
    "finetune.originals=stored",
)
# Two stratified steps of 9 to 11 and float32, as the preset says, where a row says nothing else.
BASE = ("iterations=120",)
ROWS = (
    Row("10 steps", "iterations=120", BASE),
    Row("6 steps", "steps=[5, 7]", (*BASE, "steps=[5,7]")),
    Row("text branch alone", "guided_gradient=text", (*BASE, "guided_gradient=text")),
    Row("16 images", "images_per_prompt=16", ("iterations=240", "images_per_prompt=16")),
    Row("bfloat16", "precision=bfloat16", (*BASE, "precision=bfloat16")),
    Row("K = 4", "gradient_steps=4", (*BASE, "gradient_steps=4")),
    Row("K = 8", "gradient_steps=8", (*BASE, "gradient_steps=8")),
    Row(
        "published gradient",
        "gradient_weights=reference",
        (*BASE, "gradient_steps=null", "gradient_weights=reference"),
    ),
)
Runner = Callable[..., Path]


def experiments_of(
    rows: Sequence[Row], presets: Path, overrides: Sequence[str] = ()
) -> dict[str, Experiment]:
    """The rows' experiments, by the name shown.

    Args:
        rows: Of the table.
        presets: Folder of presets.
        overrides: ``section.key=value`` for all, such as ``run.threads=1``.
    """
    preset = find_preset(presets, PRESET)
    return {
        row.name: Experiment(
            f"{PRESET}+{row.about}",
            preset,
            (*COMMON, *overrides, *(f"finetune.{setting}" for setting in row.settings)),
        )
        for row in rows
    }


def chosen(only: Sequence[str]) -> tuple[Row, ...]:
    """The first row, and those named; all if none is.

    Raises:
        ConfigError: There is no such row.
    """
    names = [row.name for row in ROWS]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise ConfigError("There is no such row", given=unknown, do=f"name some of {names}")
    return tuple(row for row in ROWS if not only or row is ROWS[0] or row.name in only)


def run_rows(
    found: Mapping[str, Experiment],
    seeds: Sequence[int],
    out: Path,
    runner: Runner = run_experiment,
) -> list[Path]:
    """Run what is missing, a seed of every row before the next; gives the rows' folders."""
    told: dict[str, Any] = {"params": Path("params.yaml"), "until": UNTIL}
    told["stages"] = read_stages(Path("dvc.yaml"))
    # A stage ends with this program.
    with ended_together():
        for seed in seeds:
            for name, experiment in found.items():
                say(f"{name}, seed {seed}")
                runner(experiment, seed, out, **told)
    return [out / experiment.name for experiment in found.values()]
