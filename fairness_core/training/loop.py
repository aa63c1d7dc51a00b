"""The finetuning loop: one prompt per iteration, AdamW, moving average, checkpoints, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd
import torch
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion import tokenize
from fairness_core.errors import ArtifactError, ConfigError, FaceError, ModelError, PromptError
from fairness_core.runtime.distributed import World
from fairness_core.runtime.logs import get_logger, progress
from fairness_core.runtime.seeds import generator
from fairness_core.training.checkpoint import newest_checkpoint, save_checkpoint
from fairness_core.training.originals import Originals
from fairness_core.training.parts import Models, Schedule, Settings, StepResult
from fairness_core.training.plan import plan_batch
from fairness_core.training.state import TrainingState
from fairness_core.training.step import training_step
from fairness_core.training.validate import Validation

__all__ = ["Finetuned", "finetune"]

# Consecutive iterations without a single face after which a run cannot be learning anything.
FACELESS_LIMIT = 20

_logger = get_logger("finetune")
OnIteration = Callable[[int, Mapping[str, float]], None]


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


def finetune(
    models: Models,
    settings: Settings,
    schedule: Schedule,
    world: World,
    *,
    prompts: Sequence[str],
    checkpoints: Path,
    fingerprint: str,
    named: Mapping[str, Collection[str]] = MappingProxyType({}),
    targets: Mapping[str, AttributeSpace] = MappingProxyType({}),
    originals: Originals | None = None,
    validation: Validation | None = None,
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
        named: Prompts that ask for classes, and the attributes asked for: these are held, whether
            other prompts align them or not.
        targets: Prompts with targets of their own, and the aligned attributes with these.
        originals: Store of the frozen model's latents; None: they are sampled in every iteration.
        validation: Held-out bias to measure on the way, which may end the run; None: never.
        on_iteration: Called with each iteration's number and row, the resumed ones too.

    Raises:
        PromptError: There are no prompts, or one is too long for the model.
        ConfigError: There are more processes than images.
        ArtifactError: The processes find different checkpoints.
        FaceError: Twenty iterations in a row without a face in any image. The state is saved.
        ModelError: The loss or its gradient is not finite.
    """
    _check_given(prompts, schedule, world)
    # A prompt that does not fit would else end the run when its turn comes.
    tokenize(models.stack, prompts)
    state = TrainingState(models.stack, schedule)
    found = newest_checkpoint(checkpoints, fingerprint)
    if found is not None:
        _logger.info("Going on after iteration %d", found.iteration)
        state.restore(found)
        for row in state.rows:
            _report(on_iteration, row)
    _check_agreement(world, state.done)
    label = f"finetuning, {schedule.images} images an iteration"
    for iteration in progress(range(state.done, schedule.iterations), label=label):
        if _is_enough(validation, state.rows):
            break
        began, calls = time.perf_counter(), models.stack.calls
        calls.reset()
        state.clear_gradient()
        batch = plan_batch(prompts, iteration, schedule, world.shard(schedule.images))
        told = replace(settings, space=targets.get(batch.prompt, settings.space))
        names = ("finetune", schedule.seed, iteration)
        result = training_step(
            models,
            told,
            world,
            prompt=batch.prompt,
            named=named.get(batch.prompt, ()),
            noise=batch.noise(models.stack.latent_shape),
            steps=batch.steps,
            targets_from=generator("targets", *names),
            steps_from=generator("gradient-steps", *names),
            originals=None if originals is None else originals.latents(models.stack, batch),
        )
        norm = state.gradient_norm()
        _check_finite(iteration, result.losses["total"], norm)
        if result.faces:
            # Without a face there is nothing to align: such an iteration changes nothing.
            state.step()
        row = _row(iteration, result, norm, time.perf_counter() - began)
        row["learning_rate"] = schedule.rate(iteration)
        counts = torch.tensor([calls.forwards, calls.backwards], device=world.device)
        world.sum_([counts])
        row["network_forwards"], row["network_backwards"] = counts.tolist()
        state.rows.append(row)
        if validation is not None:
            row |= validation.measure(models, settings, state, world)
        _report(on_iteration, row)
        faceless, due = _faceless(state.rows), _is_due(state.done, schedule)
        if world.is_main and (due or faceless):
            save_checkpoint(checkpoints, state.checkpoint(), fingerprint)
        if faceless:
            # A process that ends early would take the one that is still writing with it.
            world.barrier()
            raise FaceError(
                f"No image of the last {FACELESS_LIMIT} iterations has a face",
                given=f"prompts such as '{prompts[0]}'",
                do="use prompts that show a person, or check the detector and its size",
            )
    last = state.checkpoint()
    return Finetuned(dict(last.weights), dict(last.average), last.log)


def _check_given(prompts: Sequence[str], schedule: Schedule, world: World) -> None:
    if not prompts:
        raise PromptError("There are no prompts to train on", do="check the step that made them")
    if schedule.images < world.size:
        raise ConfigError(
            f"{world.size} processes cannot share {schedule.images} images",
            do="use fewer processes or more images per prompt",
        )


def _row(iteration: int, result: StepResult, norm: float, seconds: float) -> dict[str, float]:
    row: dict[str, float] = {"iteration": iteration}
    row |= {f"loss_{name}": value for name, value in result.losses.items()}
    for name, shares in result.shares.items():
        row |= {f"share_{name}_{i}": share for i, share in enumerate(shares)}
        row[f"used_{name}"] = result.used[name]
    row["face_rate"] = result.with_face / result.images
    row["faces_per_image"] = result.faces / result.images
    row["gradient_norm"] = norm
    row["seconds"] = seconds
    return row


def _is_enough(validation: Validation | None, rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether the last iteration's validation ends the run, now or where it was resumed."""
    if validation is None or not rows or not validation.reached(rows[-1]):
        return False
    _logger.info("Ending after %d iterations: finetune.stop_at is reached", len(rows))
    return True


def _is_due(done: int, schedule: Schedule) -> bool:
    """Whether a checkpoint is; the end needs none."""
    return done % schedule.checkpoint_every == 0 and done < schedule.iterations


def _report(on_iteration: OnIteration | None, row: Mapping[str, float]) -> None:
    if on_iteration is not None:
        # A restored row has every column of the log.
        known = {k: v for k, v in row.items() if k != "iteration" and not math.isnan(v)}
        on_iteration(int(row["iteration"]), known)


def _check_agreement(world: World, done: int) -> None:
    everywhere = world.gather_rows(torch.tensor([done], device=world.device))
    if len(set(everywhere.tolist())) > 1:
        raise ArtifactError(
            "The processes find different checkpoints",
            given=f"after iterations {everywhere.tolist()}",
            do="keep the checkpoints on a filesystem that all machines share",
        )


def _check_finite(iteration: int, loss: float, norm: float) -> None:
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise ModelError(
            f"Iteration {iteration} has a loss or a gradient that is not finite",
            given=f"loss {loss}, norm of the gradient {norm}",
            do="lower finetune.learning_rate, or look for a damaged model",
        )


def _faceless(rows: Sequence[Mapping[str, float]]) -> bool:
    recent = rows[-FACELESS_LIMIT:]
    return len(recent) == FACELESS_LIMIT and all(row["face_rate"] == 0 for row in recent)
