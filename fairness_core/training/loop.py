"""The finetuning loop: one prompt per iteration, AdamW, moving average, checkpoints, resume."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from fairness_core.diffusion import load_lora_state, lora_state, trainable
from fairness_core.errors import FaceError, PromptError
from fairness_core.runtime.distributed import World
from fairness_core.runtime.logs import get_logger, progress
from fairness_core.runtime.seeds import generator, image_noise
from fairness_core.training.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from fairness_core.training.ema import MovingAverage
from fairness_core.training.optim import load_optimizer_state, new_optimizer, optimizer_state
from fairness_core.training.parts import Models, Settings, StepResult
from fairness_core.training.step import training_step

__all__ = ["Finetuned", "Schedule", "finetune", "prompt_of_iteration"]

# Consecutive iterations without a single face after which a run cannot be learning anything.
FACELESS_LIMIT = 20

_logger = get_logger("finetune")
OnIteration = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        iterations: Iterations in all.
        images: N, images per iteration over all processes.
        steps: Fewest and most sampling steps; each iteration draws one number between.
        learning_rate: AdamW, constant.
        betas: AdamW.
        weight_decay: AdamW.
        ema_decay: Of the moving average.
        checkpoint_every: Iterations between checkpoints.
        seed: Enters every random stream.
    """

    iterations: int
    images: int
    steps: tuple[int, int]
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    ema_decay: float
    checkpoint_every: int
    seed: int


@dataclass(frozen=True)
class Finetuned:
    """Result of a run.

    Attributes:
        live: Adapter weights after the last iteration.
        average: Their moving average.
        log: One row per iteration: losses, class shares, faces, network calls, seconds.
    """

    live: dict[str, Tensor]
    average: dict[str, Tensor]
    log: pd.DataFrame


def prompt_of_iteration(prompts: Sequence[str], iteration: int, seed: int) -> str:
    """Prompts in a new random order in each pass over them; depends on nothing else."""
    passes, place = divmod(iteration, len(prompts))
    order = torch.randperm(len(prompts), generator=generator("finetune-order", seed, passes))
    return prompts[int(order[place])]


def finetune(
    models: Models,
    settings: Settings,
    schedule: Schedule,
    world: World,
    *,
    prompts: Sequence[str],
    checkpoints: Path,
    fingerprint: str,
    on_iteration: OnIteration | None = None,
) -> Finetuned:
    """Train the stack's adapters, going on from the newest checkpoint of the same run.

    Args:
        models: With adapters already added to the stack.
        settings: Of each iteration.
        schedule: Of the run.
        world: The processes.
        prompts: Training prompts.
        checkpoints: Folder for this run's checkpoints.
        fingerprint: Of everything that the result depends on.
        on_iteration: Called with each iteration's number and row, the resumed ones too.

    Raises:
        PromptError: There are no prompts.
        FaceError: Twenty iterations in a row without a face in any image.
    """
    if not prompts:
        raise PromptError("There are no prompts to train on", do="check the step that made them")
    parameters = trainable(models.stack)
    optimizer = new_optimizer(
        parameters,
        learning_rate=schedule.learning_rate,
        betas=schedule.betas,
        weight_decay=schedule.weight_decay,
    )
    average = MovingAverage(parameters, schedule.ema_decay)
    rows: list[dict[str, float]] = []
    found = newest_checkpoint(checkpoints, fingerprint)
    if found is not None:
        _logger.info("Going on after iteration %d", found.iteration)
        load_lora_state(models.stack, found.weights)
        load_optimizer_state(optimizer, parameters, found.optimizer)
        average.weights, average.updates = dict(found.average), found.updates
        rows = found.log.to_dict("records")
        for row in rows:
            _report(on_iteration, row)
    start = len(rows)
    label = f"finetuning, {schedule.images} images an iteration"
    for iteration in progress(range(start, schedule.iterations), label=label):
        began, calls = time.perf_counter(), models.stack.calls
        calls.reset()
        optimizer.zero_grad(set_to_none=True)
        result = _iterate(models, settings, schedule, world, prompts, iteration)
        if result.faces:
            optimizer.step()
        average.update(parameters)
        seconds = time.perf_counter() - began
        rows.append(_row(iteration, result, seconds, calls.forwards, calls.backwards))
        _report(on_iteration, rows[-1])
        _check_faces(rows, prompts)
        done = iteration + 1
        if world.is_main and done % schedule.checkpoint_every == 0 and done < schedule.iterations:
            state = Checkpoint(
                iteration=done,
                weights=lora_state(models.stack),
                average=average.weights,
                updates=average.updates,
                optimizer=optimizer_state(optimizer, parameters),
                log=pd.DataFrame(rows),
            )
            save_checkpoint(checkpoints, state, fingerprint)
    return Finetuned(lora_state(models.stack), dict(average.weights), pd.DataFrame(rows))


def _iterate(
    models: Models,
    settings: Settings,
    schedule: Schedule,
    world: World,
    prompts: Sequence[str],
    iteration: int,
) -> StepResult:
    prompt = prompt_of_iteration(prompts, iteration, schedule.seed)
    names = ("finetune", schedule.seed, iteration)
    low, high = schedule.steps
    drawn = torch.randint(low, high + 1, (1,), generator=generator("sampling-steps", *names))
    local = world.shard(schedule.images)
    noise = image_noise(
        f"finetune-{schedule.seed}-{iteration}",
        [prompt] * len(local),
        list(local),
        models.stack.latent_shape,
    )
    return training_step(
        models,
        settings,
        world,
        prompt=prompt,
        noise=noise,
        steps=int(drawn),
        targets_from=generator("targets", *names),
        steps_from=generator("gradient-steps", *names),
    )


def _row(
    iteration: int, result: StepResult, seconds: float, forwards: int, backwards: int
) -> dict[str, float]:
    row: dict[str, float] = {"iteration": iteration}
    row |= {f"loss_{name}": value for name, value in result.losses.items()}
    for name, shares in result.shares.items():
        row |= {f"share_{name}_{i}": share for i, share in enumerate(shares)}
        row[f"used_{name}"] = result.used[name]
    row["face_rate"] = result.faces / result.images
    row["network_forwards"] = forwards
    row["network_backwards"] = backwards
    row["seconds"] = seconds
    return row


def _report(on_iteration: OnIteration | None, row: Mapping[str, float]) -> None:
    if on_iteration is not None:
        on_iteration(int(row["iteration"]), {k: v for k, v in row.items() if k != "iteration"})


def _check_faces(rows: Sequence[Mapping[str, float]], prompts: Sequence[str]) -> None:
    recent = rows[-FACELESS_LIMIT:]
    if len(recent) == FACELESS_LIMIT and all(row["face_rate"] == 0 for row in recent):
        raise FaceError(
            f"No image of the last {FACELESS_LIMIT} iterations has a face",
            given=f"prompts such as '{prompts[0]}'",
            do="use prompts that show a person, or check the detector and its size",
        )
