"""Means of per-image figures."""

from __future__ import annotations

import numpy as np
import pytest

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.metrics import mean_interval
from fairness_core.metrics import quality as module
from tests.helpers.close import FLOAT64, assert_close


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_prompts_weigh_the_same_however_many_images_they_have():
    found = mean_interval([1.0, 1.0, 1.0, 0.0], ["a", "a", "a", "b"], rng=rng())
    assert_close(found.estimate, 0.5, FLOAT64)
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_order_of_rows_does_not_matter():
    values, prompts = rng(1).random(60), np.repeat(["a", "b", "c"], [10, 20, 30])
    order = rng(2).permutation(60)
    first = mean_interval(values, prompts, rng=rng())
    moved = mean_interval(values[order], prompts[order], rng=rng())
    assert_close(moved.estimate, first.estimate, FLOAT64)
    assert abs(moved.low - first.low) < 0.3 * (first.high - first.low)


def test_width_agrees_with_the_normal_theory():
    """Two levels: variance over p prompts of their means, plus that of drawing n images each."""
    prompts, n = 40, 25
    centres = rng(1).normal(0, 1.0, prompts)
    values = centres[:, None] + rng(2).normal(0, 2.0, (prompts, n))
    found = mean_interval(values.ravel(), np.arange(prompts).repeat(n), rng=rng())
    variance = values.mean(1).var() / prompts + values.var(1).mean() / (prompts * n)
    assert 0.85 < (found.high - found.low) / (2 * 1.96 * variance**0.5) < 1.15


def test_rates_and_blocks(monkeypatch: pytest.MonkeyPatch):
    absent, prompts = rng(3).random(200) < 0.1, np.arange(10).repeat(20)
    found = mean_interval(absent, prompts, rng=rng(), resamples=500)
    assert_close(found.estimate, absent.mean(), FLOAT64)
    assert 0 <= found.low < found.estimate < found.high
    monkeypatch.setattr(module, "BLOCK_VALUES", 200 * 64)
    parts = mean_interval(absent, prompts, rng=rng(), resamples=500)
    assert abs(parts.high - found.high) < 0.3 * (found.high - found.low)


def test_bad_input_is_refused():
    with pytest.raises(ArtifactError, match="one value and one prompt per image"):
        mean_interval([], [], rng=rng())
    with pytest.raises(ArtifactError, match="one value and one prompt per image"):
        mean_interval([1.0, 2.0], ["a"], rng=rng())
    with pytest.raises(ArtifactError, match=r"not finite. Given: 1 images"):
        mean_interval([1.0, float("nan")], ["a", "b"], rng=rng())
    with pytest.raises(ConfigError, match="needs a resample"):
        mean_interval([1.0], ["a"], rng=rng(), resamples=0)
    with pytest.raises(ConfigError, match=r"level in \(0, 1\)"):
        mean_interval([1.0], ["a"], rng=rng(), level=95)
