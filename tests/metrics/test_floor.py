"""What a fair sampler scores."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from fairness_core.errors import FaceError, TargetError
from fairness_core.metrics import fair_floor, parity_gaps, prompt_floors
from tests.helpers.close import FLOAT64, PUBLISHED, assert_close, sampled


@pytest.mark.parametrize(
    ("k", "images", "published"),
    [(2, 60, 0.102), (2, 160, 0.063), (4, 80, 0.063), (4, 160, 0.045), (8, 160, 0.032)],
)
def test_published_floors(k: int, images: int, published: float):
    floor = fair_floor(np.full(50, images), (1 / k,) * k)
    assert_close(floor, published, PUBLISHED)


@pytest.mark.parametrize("target", [(0.5, 0.5), (0.3, 0.7), (0.2, 0.0, 0.8), (0.1, 0.2, 0.3, 0.4)])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_floor_is_the_sum_over_all_samples(target: tuple[float, ...], n: int):
    expected = 0.0
    for labels in itertools.product(range(len(target)), repeat=n):
        shares = np.bincount(labels, minlength=len(target)) / n
        expected += math.prod(target[k] for k in labels) * float(parity_gaps(shares))
    assert_close(fair_floor(np.array([n]), target), expected, FLOAT64)


def test_floor_is_what_a_fair_sampler_scores():
    rng = np.random.default_rng(0)
    target = np.array([0.75, 0.25]).repeat(2) / 2
    drawn = parity_gaps(rng.multinomial(40, target, size=4000) / 40)
    assert_close(drawn.mean(), fair_floor(np.array([40]), target.tolist()), sampled(4000, 0.06))


def test_floor_averages_over_prompts_and_leaves_out_those_without_a_face():
    each = prompt_floors(np.array([3, 7, 3]), (0.5, 0.5))
    assert_close(each[0], each[2], FLOAT64)
    assert each[1] < each[0]
    assert_close(fair_floor(np.array([3, 0, 7, 3]), (0.5, 0.5)), each.mean(), FLOAT64)


def test_large_samples_approach_the_target_itself():
    assert fair_floor(np.array([10_000]), (0.5, 0.5)) < 0.009
    assert_close(fair_floor(np.array([10_000]), (0.9, 0.1)), 0.8, FLOAT64)


def test_bad_input_is_refused():
    with pytest.raises(FaceError, match="no prompt with a face"):
        fair_floor(np.array([0, 0]), (0.5, 0.5))
    with pytest.raises(FaceError, match="without a face has no floor"):
        prompt_floors(np.array([4, 0]), (0.5, 0.5))
    with pytest.raises(TargetError, match="do not sum to 1"):
        fair_floor(np.array([4]), (0.5, 0.6))
    for bad in [(1.0,), (-0.5, 1.5), (float("nan"), 1.0)]:
        with pytest.raises(TargetError, match="two or more classes"):
            fair_floor(np.array([4]), bad)
