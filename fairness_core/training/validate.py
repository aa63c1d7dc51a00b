"""Held-out bias while a run trains, with its interval: a curve to watch, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion import adapter_state, encode_prompts, load_adapter_state, sample
from fairness_core.errors import ConfigError
from fairness_core.groups import group_name, measured_groups
from fairness_core.metrics import Interval, bias_interval, fair_floor
from fairness_core.runtime.distributed import World
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.seeds import image_noise, seed_for
from fairness_core.training.parts import Models, Settings
from fairness_core.training.perceive import decode_all, perceive
from fairness_core.training.state import TrainingState

__all__ = ["Validation"]

PREFIX = "validation"

_logger = get_logger("finetune")


@dataclass(frozen=True)
class Validation:
    """What is measured of the averaged weights, how often, and what is good enough.

    By the classifier that trains, so it decides when to stop and is no result: the evaluation's
    own classifier judges.

    Attributes:
        prompts: Held-out prompts, at least one.
        every: Iterations between two validations, >= 1.
        images: Of each prompt, the same noise at every validation.
        steps: Sampling steps.
        seed: Of the noise.
        stop_at: Group to bias: the run ends when the upper end of each one's 95 % interval is at
            or below it. Empty: it never ends early.
    """

    prompts: Sequence[str]
    every: int
    images: int
    steps: int
    seed: int
    stop_at: Mapping[str, float]

    def check(self, space: AttributeSpace) -> None:
        """Refuse what no run could reach.

        Raises:
            ConfigError: A limit below what a fair sampler has at this number of images.
        """
        groups = {group_name(group): group for group in measured_groups(space.names)}
        for name, limit in self.stop_at.items():
            faces = np.full(len(self.prompts), self.images)
            floor = fair_floor(faces, space.subset(groups[name]).cell_target)
            if limit <= floor:
                raise ConfigError(
                    f"finetune.stop_at.{name} can never be reached",
                    given=f"{limit}, where even a fair sampler has {floor:.3f} with "
                    f"{self.images} images of each prompt",
                    do="raise it, or finetune.validation_images",
                )

    def reached(self, row: Mapping[str, float]) -> bool:
        """Whether an iteration's row, with a validation or without, says to stop."""
        highs = {name: row.get(f"{PREFIX}_{name}_high") for name in self.stop_at}
        return bool(highs) and all(
            high is not None and high <= self.stop_at[name] for name, high in highs.items()
        )

    def measure(
        self, models: Models, settings: Settings, state: TrainingState, world: World
    ) -> dict[str, float]:
        """Bias of every group with its interval, of the averaged weights.

        Args:
            models: With the adapters, which are as before when it returns.
            settings: Attributes, guidance and images per call.
            state: Its moving average is measured.
            world: Each process samples its own part of every prompt's images.

        Returns:
            ``validation_<group>``, ``.._low`` and ``.._high``; nothing for a group without a face,
            and nothing at all between two validations.
        """
        if state.done % self.every:
            return {}
        live = adapter_state(models.stack)
        load_adapter_state(models.stack, state.average.weights)
        try:
            cells = torch.stack([self._cells(models, settings, p, world) for p in self.prompts])
        finally:
            load_adapter_state(models.stack, live)
        world.sum_([cells])
        counts = cells.cpu().numpy().reshape(len(self.prompts), *settings.space.sizes)
        found: dict[str, float] = {}
        for group in measured_groups(settings.space.names):
            own = _of_group(counts, settings.space, group)
            if not own.any():
                continue
            name = group_name(group)
            rng = np.random.default_rng(seed_for("validation", self.seed, state.done, name))
            interval = bias_interval(own, rng=rng)
            found |= _columns(name, interval)
            _logger.info(
                "Held-out bias of %s after %d iterations: %.3f [%.3f, %.3f]",
                name, state.done, interval.estimate, *interval.ci,
            )  # fmt: skip
        return found

    @torch.no_grad()
    def _cells(
        self, models: Models, settings: Settings, prompt: str, world: World
    ) -> Int[torch.Tensor, " k"]:
        """Faces of this process's images of one prompt, by cell of all attributes."""
        stack, space = models.stack, settings.space
        rows = list(world.shard(self.images))
        stage = f"validation-{self.seed}"
        noise = image_noise(stage, [prompt] * len(rows), rows, stack.latent_shape)
        states = encode_prompts(stack, [prompt, ""])
        latents = sample(
            stack,
            noise.to(stack.device),
            states[:1].expand(len(rows)),
            states[1:],
            guidance=settings.guidance,
            steps=self.steps,
            batch_size=settings.batch_size,
        ).final
        shown = decode_all(stack, latents, settings.judged)
        seen = perceive(shown, models.detector, models.classifier, every=settings.faces == "all")
        cell = torch.zeros_like(seen.image)
        for attribute in space.attributes:
            cell = cell * attribute.size + seen.classes[attribute.name].to(cell.device)
        present = seen.faces.present.to(cell.device)
        counts = torch.bincount(cell[present], minlength=space.n_cells)
        return counts.to(world.device)


def _of_group(
    counts: Int[np.ndarray, "..."], space: AttributeSpace, group: Sequence[str]
) -> Int[np.ndarray, "p k"]:
    """Counts of the group's cells, summed over the other attributes."""
    others = tuple(i + 1 for i, name in enumerate(space.names) if name not in group)
    return np.asarray(counts.sum(axis=others)).reshape(len(counts), -1)


def _columns(name: str, interval: Interval) -> dict[str, float]:
    key = f"{PREFIX}_{name}"
    return {key: interval.estimate, f"{key}_low": interval.low, f"{key}_high": interval.high}
