"""Two models on the same prompts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError, ConfigError, FaceError, TargetError
from fairness_core.metrics import bias_interval, fair_floor, paired_cells, paired_change
from tests.helpers.close import FLOAT64, assert_close

HALF = (0.5, 0.5)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def draw(shares: np.ndarray, n: int, seed: int) -> np.ndarray:
    return rng(seed).multinomial(n, np.stack([shares, 1 - shares], axis=1))


def test_estimates_by_hand():
    before = np.array([[40, 0], [36, 4], [0, 0]])
    after = np.array([[24, 16], [20, 20], [20, 20]])
    change = paired_change(before, after, HALF, rng=rng())
    floor = fair_floor(np.array([40]), HALF)
    assert_close(change.before.estimate, 0.9, FLOAT64)
    assert_close(change.after.estimate, 0.1, FLOAT64)
    assert_close(change.difference.estimate, -0.8, FLOAT64)
    assert_close([change.floor_before, change.floor_after], [floor, floor], FLOAT64)
    assert change.reduction is not None
    assert_close(change.reduction.estimate, 1 - (0.1 - floor) / (0.9 - floor), FLOAT64)
    assert (change.prompts, change.dropped) == (2, 1)


def test_each_model_has_the_interval_it_has_alone():
    fair = rng(5).multinomial(40, np.full(4, 0.25), size=24)
    biased = rng(6).multinomial(40, (0.7, 0.1, 0.1, 0.1), size=24)
    target = (0.25,) * 4
    forth = paired_change(fair, biased, target, rng=rng())
    assert forth.before == bias_interval(fair, rng=rng())
    back = paired_change(biased, fair, target, rng=rng())
    for found in (forth.before, back.after):
        assert found.low < fair_floor(fair.sum(1), target) < found.high
    assert back.reduction is not None
    assert back.reduction.low < 1 < back.reduction.high


def test_a_clear_change_is_told_from_none():
    shares = rng(7).uniform(0.75, 1.0, 24)
    before, again = draw(shares, 40, 1), draw(shares, 40, 2)
    better = draw(0.5 + (shares - 0.5) * 0.3, 40, 3)
    same = paired_change(before, again, HALF, rng=rng())
    assert same.difference.low < 0 < same.difference.high
    assert same.reduction is not None
    assert same.reduction.low < 0 < same.reduction.high
    change = paired_change(before, better, HALF, rng=rng())
    assert change.difference.high < -0.2
    assert change.reduction is not None
    assert 0.5 < change.reduction.low < change.reduction.estimate < change.reduction.high


def test_pairing_cancels_differences_between_prompts():
    """Prompts between 0 and 1, each better by the same amount: the change is far better known."""
    before = np.array([[100 + 4 * i, 100 - 4 * i] for i in range(4, 25)])
    after = before + np.array([-12, 12])
    change = paired_change(before, after, HALF, rng=rng())
    alone = (change.before.high - change.before.low) ** 2
    alone += (change.after.high - change.after.low) ** 2
    assert (change.difference.high - change.difference.low) ** 2 < 0.5 * alone


def paired_draw(seed: int, alike: float, prompts: int = 20, n: int = 40):
    """Counts and pairs of two models; so many images stay what they were, the rest are redrawn."""
    draw = rng(seed)
    share = draw.uniform(0.6, 0.95, prompts)[:, None]
    first = draw.random((prompts, n)) < share
    moved = draw.random((prompts, n)) < 0.5 + (share - 0.5) * 0.6
    second = np.where(draw.random((prompts, n)) < alike, first, moved)
    pairs = np.zeros((prompts, 3, 3), np.int64)
    np.add.at(pairs, (np.arange(prompts)[:, None], 1 - first, 1 - second), 1)
    return pairs.sum(2)[:, :2], pairs.sum(1)[:, :2], pairs


def test_images_of_one_noise_are_drawn_together():
    widths = []
    for pairs in (True, False):
        before, after, both = paired_draw(0, alike=0.9)
        found = paired_change(before, after, HALF, rng=rng(), pairs=both if pairs else None)
        widths.append(found.difference.high - found.difference.low)
    assert widths[0] < 0.75 * widths[1]


def test_paired_intervals_hold_the_expected_change():
    truth = np.mean([_difference(*paired_draw(seed, 0.7)[:2]) for seed in range(1000, 1500)])
    held = []
    for seed in range(60):
        before, after, pairs = paired_draw(seed, 0.7)
        change = paired_change(before, after, HALF, rng=rng(seed), pairs=pairs, resamples=200)
        held.append(change.difference.low <= truth <= change.difference.high)
    # On the wide side, as ``bias_interval`` is: prompts differ by their faces' noise already.
    assert np.mean(held) >= 0.9


def _difference(before: np.ndarray, after: np.ndarray) -> float:
    gaps = [np.abs(2 * c[:, 0] / c.sum(1) - 1).mean() for c in (before, after)]
    return float(gaps[1] - gaps[0])


def test_pairs_of_other_faces_are_refused():
    before, after, pairs = paired_draw(0, 0.5)
    with pytest.raises(ArtifactError, match="not of the counted faces"):
        paired_change(after, before, HALF, rng=rng(), pairs=pairs)


def test_pairs_follow_prompt_and_index_and_count_missing_faces():
    space = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
    first = pd.DataFrame(
        {
            "prompt_id": ["b", "a", "a"],
            "index": [0, 1, 0],
            "present": [True, False, True],
            "gender": ["male", None, "female"],
        }
    )
    second = first.iloc[::-1].assign(present=True, gender=["male", "female", "male"])
    pairs = paired_cells(first, second, space, ["gender"])
    assert pairs[0].tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 0]]  # a: female-male, none-female
    assert pairs[1].tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    with pytest.raises(ArtifactError, match="not of the same prompts and noise"):
        paired_cells(first, second.iloc[1:], space, ["gender"])


def test_nothing_to_reduce_where_the_base_is_fair():
    fair = np.tile([20, 20], (10, 1))
    assert paired_change(fair, fair, HALF, rng=rng()).reduction is None
    barely = draw(np.full(10, 0.52), 40, 1)
    assert paired_change(barely, fair, HALF, rng=rng()).reduction is None


def test_floors_follow_the_numbers_of_faces():
    before, after = np.array([[60, 20]] * 3), np.array([[6, 4]] * 3)
    change = paired_change(before, after, HALF, rng=rng())
    assert_close(change.floor_before, fair_floor(np.array([80]), HALF), FLOAT64)
    assert_close(change.floor_after, fair_floor(np.array([10]), HALF), FLOAT64)


def test_same_seed_same_intervals():
    before, after = draw(np.linspace(0.6, 1, 12), 40, 1), draw(np.linspace(0.5, 0.6, 12), 40, 2)
    first, again = (paired_change(before, after, HALF, rng=rng(), resamples=1500) for _ in range(2))
    assert first == again


def test_bad_input_is_refused():
    counts = np.array([[3, 1], [2, 2]])
    with pytest.raises(TargetError, match="3 shares for 2 classes"):
        paired_change(counts, counts, (0.2, 0.3, 0.5), rng=rng())
    with pytest.raises(TargetError, match="do not sum to 1"):
        paired_change(counts, counts, (0.2, 0.3), rng=rng())
    with pytest.raises(FaceError, match="No prompt has a face"):
        paired_change(counts, counts * 0, HALF, rng=rng())
    with pytest.raises(ConfigError, match="at least one resample"):
        paired_change(counts, counts, HALF, rng=rng(), resamples=0)


def test_tables_must_match():
    # The test run checks shapes before the function does: take that check off.
    bare = getattr(paired_change, "__wrapped__", paired_change)
    with pytest.raises(ArtifactError, match="differ in prompts or classes"):
        bare(np.ones((2, 2), int), np.ones((3, 2), int), HALF, rng=rng())
