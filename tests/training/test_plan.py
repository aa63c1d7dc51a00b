from __future__ import annotations

import dataclasses

import torch

from fairness_core.training import plan_batch, prompt_of_iteration
from tests.helpers.close import EXACT, assert_close
from tests.training.test_loop import SCHEDULE

PROMPTS = ["a nurse", "a pilot", "a judge", "a nurse"]
SHAPE = (2, 3, 3)


def plans(iterations: int, **changes: int) -> list:
    schedule = dataclasses.replace(SCHEDULE, **changes)
    return [plan_batch(PROMPTS, i, schedule, range(3)) for i in range(iterations)]


def test_every_visit_has_new_noise() -> None:
    batches = plans(12)
    assert [b.prompt for b in batches] == [prompt_of_iteration(PROMPTS, i, 7) for i in range(12)]
    assert len({b.stage for b in batches}) == 12
    assert {b.steps for b in batches} == {1, 2, 3}
    assert not torch.equal(batches[0].noise(SHAPE), batches[1].noise(SHAPE))


def test_an_image_has_its_noise_in_whichever_batch() -> None:
    whole = plan_batch(PROMPTS, 0, SCHEDULE, range(3))
    part = plan_batch(PROMPTS, 0, SCHEDULE, range(1, 3))
    assert part.steps == whole.steps
    assert_close(part.noise(SHAPE), whole.noise(SHAPE)[1:], EXACT)


def test_a_noise_seed_takes_the_place_of_the_runs() -> None:
    """Prompts, noise and steps are those of the run whose seed it is."""
    assert plans(9, seed=1, noise_seed=7) == plans(9)
    assert plans(9, seed=1) != plans(9)


def test_sets_of_noise_come_in_turn_at_each_prompts_visits() -> None:
    batches = plans(24, noise_sets=2)
    assert [b.prompt for b in batches] == [b.prompt for b in plans(24)]
    for prompt in PROMPTS:
        own = [b for b in batches if b.prompt == prompt]
        assert own[0].stage != own[1].stage
        assert own[2::2] == [own[0]] * len(own[2::2])
        assert own[3::2] == [own[1]] * len(own[3::2])
    assert len({(b.prompt, b.stage) for b in batches}) == 2 * 3
