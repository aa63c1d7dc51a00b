"""How many images an audit needs, and the worst prompt."""

from __future__ import annotations

import numpy as np
import pytest

from fairness_core.errors import ConfigError, FaceError
from fairness_core.metrics import (
    half_width,
    parity_gaps,
    plan_images_per_prompt,
    worst_prompt,
)
from tests.helpers.close import FLOAT64, assert_close


def test_a_worked_plan():
    """1.96^2 / (50 * 0.03^2) = 85.4 faces, a tenth more images where a tenth shows no face."""
    plan = plan_images_per_prompt(0.03, classes=2, prompts=50)
    assert (plan.images, plan.total) == (86, 4300)
    assert plan.half_width <= 0.03
    assert plan_images_per_prompt(0.03, classes=2, prompts=50, no_face_rate=0.1).images == 96
    assert plan_images_per_prompt(0.03, classes=4, prompts=50).images == 22
    assert plan_images_per_prompt(0.9, classes=2, prompts=50).images == 1


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.8, 0.2), (0.4, 0.3, 0.2, 0.1)])
def test_the_plan_is_enough_whatever_the_shares(shares):
    plan = plan_images_per_prompt(0.05, classes=len(shares), prompts=20)
    draws = np.random.default_rng(0).multinomial(plan.images, shares, size=(4000, 20))
    means = parity_gaps(draws / plan.images).mean(1)
    assert 1.96 * means.std() <= 0.05 * 1.05


def test_the_spread_over_prompts_counts():
    narrow = plan_images_per_prompt(0.1, classes=2, prompts=50)
    wide = plan_images_per_prompt(0.1, classes=2, prompts=50, spread=0.3)
    assert wide.images > narrow.images
    with pytest.raises(ConfigError, match=r"differ more.*more than 385 prompts"):
        plan_images_per_prompt(0.03, classes=2, prompts=50, spread=0.3)
    assert plan_images_per_prompt(0.03, classes=2, prompts=390, spread=0.3).half_width <= 0.03


def test_bad_plans_are_refused():
    with pytest.raises(ConfigError, match="needs two classes"):
        half_width(classes=1, prompts=5, faces=10)
    with pytest.raises(ConfigError, match=r"half width in \(0, 1\)"):
        plan_images_per_prompt(0.0, classes=2, prompts=5)
    with pytest.raises(ConfigError, match=r"no-face rate in \[0, 1\)"):
        plan_images_per_prompt(0.1, classes=2, prompts=5, no_face_rate=1.0)


@pytest.mark.parametrize("wanted", [1e-5, 1e-200])
def test_a_plan_beyond_any_audit_is_refused_with_what_would_do(wanted):
    with pytest.raises(ConfigError, match=r"more than 100,000 images.*ask for 0.00088 or more"):
        plan_images_per_prompt(wanted, classes=2, prompts=50)
    assert plan_images_per_prompt(8.8e-4, classes=2, prompts=50).images <= 100_000


def test_the_worst_prompt_and_its_interval():
    counts = np.array([[20, 20], [0, 0], [35, 5], [18, 22]])
    row, found = worst_prompt(counts, rng=np.random.default_rng(0))
    assert row == 2
    assert_close(found.estimate, 0.75, FLOAT64)
    assert found.low < 0.75 < found.high <= 1


def test_all_of_one_class_is_not_certain_to_be():
    _, found = worst_prompt(np.array([[10, 0]]), rng=np.random.default_rng(0))
    assert found.low < 0.9
    assert found.estimate == 1.0


def test_the_worst_of_many_fair_prompts_is_held():
    """All prompts are fair, so the largest gap is 0; its lower end must not be far above."""
    draw = np.random.default_rng(1)
    limits, inside, true = [], 0, 0.5
    for _ in range(40):
        shares = np.array([[0.5, 0.5]] * 20 + [[0.75, 0.25]])
        row, found = worst_prompt(draw.multinomial(60, shares), rng=draw, resamples=300)
        inside += found.high >= true
        limits.append(row)
    assert inside >= 36
    assert np.mean(np.array(limits) == 20) > 0.7


def test_no_face_no_worst_prompt():
    with pytest.raises(FaceError, match="No prompt has a face"):
        worst_prompt(np.zeros((2, 2), dtype=int), rng=np.random.default_rng(0))
