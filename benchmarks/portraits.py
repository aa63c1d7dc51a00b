"""The default run's models and settings, for measuring on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from components.finetune.assemble import assemble
from components.step import Settings as RunSettings
from fairness_core.classifiers import build
from fairness_core.config import Params, load
from fairness_core.diffusion import trainable
from fairness_core.runtime import prepare
from fairness_core.runtime.distributed import World
from fairness_core.runtime.seeds import generator
from fairness_core.training import Models, Schedule, Settings, training_step

PROMPT = "a portrait of a nurse"


def clear_gradient(models: Models) -> None:
    """Forget the adapters' gradient."""
    for parameter in trainable(models.stack).values():
        parameter.grad = None


def iterate(
    models: Models,
    settings: Settings,
    noise: Tensor,
    *,
    steps: int,
    prompt: str = PROMPT,
    originals: Tensor | None = None,
) -> None:
    """One iteration's gradient, the adapters' own afterwards; the same draws at every call."""
    clear_gradient(models)
    training_step(
        models,
        settings,
        World(models.stack.device),
        prompt=prompt,
        noise=noise,
        steps=steps,
        targets_from=generator("targets", prompt),
        steps_from=generator("steps"),
        originals=originals,
    )


def portraits(
    folder: Path, changes: Sequence[str] = (), *, params: Path = Path("params.yaml")
) -> tuple[Params, Models, Settings, Schedule]:
    """Load what finetuning works with, on the device and with the threads of section ``run``.

    Args:
        folder: Artifacts: the classifiers of a run are taken if they are there; else an untrained
            one of the same network is made in it, which costs the same time and memory.
        changes: ``section.key=value``.
        params: Parameter file.
    """
    loaded = load(params, list(changes))
    space = loaded.attribute_space
    classifiers = folder / "classifiers"
    if not (classifiers / "train").is_dir():
        classifiers = folder / "benchmarks" / "untrained"
        network = loaded.section("calibrate_classifier")["train_network"]
        made: Any = build(network, space, 32, torch.Generator().manual_seed(1))
        made.save(classifiers / "train")
    device = prepare(loaded.run.device, loaded.run.threads)
    told = RunSettings(**loaded.section("run"))
    section, models = loaded.finetune, loaded.section("models")
    parts = assemble(section, models, space, classifiers, Path("none"), World(device), told)
    return loaded, *parts
