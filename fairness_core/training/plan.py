"""What each iteration samples: its prompt, noise and number of steps, all from names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.runtime.seeds import generator, image_noise
from fairness_core.training.parts import Schedule

__all__ = ["Batch", "plan_batch", "prompt_of_iteration"]


@dataclass(frozen=True)
class Batch:
    """Images of one prompt that one process samples together.

    Attributes:
        prompt: Their prompt.
        stage: Names the noise, with the prompt and each image's number.
        rows: The images' numbers.
        steps: Sampling steps S.
    """

    prompt: str
    stage: str
    rows: range
    steps: int

    @property
    def names(self) -> dict[str, Any]:
        """All that tells this batch from others, as JSON values."""
        return {
            "prompt": self.prompt,
            "stage": self.stage,
            "rows": [self.rows.start, self.rows.stop],
            "steps": self.steps,
        }

    def noise(self, shape: tuple[int, int, int]) -> Float[Tensor, "n c h w"]:
        """Unit normal latents of this shape, each image's own whatever the batch."""
        numbers = list(self.rows)
        return image_noise(self.stage, [self.prompt] * len(numbers), numbers, shape)


def plan_batch(prompts: Sequence[str], iteration: int, schedule: Schedule, rows: range) -> Batch:
    """The images that an iteration samples.

    Args:
        prompts: Training prompts, each as often as it is visited in a pass.
        iteration: From 0.
        schedule: Its seeds, steps and sets of noise.
        rows: The images of one process, of 0..N-1.
    """
    seed = schedule.seed if schedule.noise_seed is None else schedule.noise_seed
    prompt, visit = _visit(prompts, iteration, seed)
    names: tuple[str | int, ...] = ("finetune", seed, iteration)
    stage = f"finetune-{seed}-{iteration}"
    if schedule.noise_sets is not None:
        kept = visit % schedule.noise_sets
        names = ("finetune-set", seed, prompt, kept)
        stage = f"finetune-{seed}-set-{kept}"
    low, high = schedule.steps
    drawn = torch.randint(low, high + 1, (1,), generator=generator("sampling-steps", *names))
    return Batch(prompt, stage, rows, int(drawn))


def prompt_of_iteration(prompts: Sequence[str], iteration: int, seed: int) -> str:
    """Prompts in a new random order in each pass over them; depends on nothing else.

    A prompt that is listed several times is visited as often in each pass.
    """
    return _visit(prompts, iteration, seed)[0]


def _visit(prompts: Sequence[str], iteration: int, seed: int) -> tuple[str, int]:
    """An iteration's prompt, and how often it was visited before."""
    passes, place = divmod(iteration, len(prompts))
    order = torch.randperm(len(prompts), generator=generator("finetune-order", seed, passes))
    visited = [prompts[i] for i in order[: place + 1].tolist()]
    prompt = visited[-1]
    # In each whole pass as often as it is listed, then before this place of this one.
    return prompt, passes * list(prompts).count(prompt) + visited.count(prompt) - 1
