"""Claims about single prompts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control

from fairness_core.errors import ArtifactError, ConfigError, TargetError
from fairness_core.metrics import benjamini_hochberg, target_p_values
from tests.helpers.close import FLOAT64, assert_close, sampled


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_two_even_classes_are_the_binomial_test():
    heads = np.array([10, 14, 16, 19, 20])
    found = target_p_values(np.stack([heads, 20 - heads], 1), [0.5, 0.5], rng=rng())
    exact = [binomtest(int(h), 20, 0.5).pvalue for h in heads]
    assert_close(found, exact, sampled(9999))


def test_samples_of_the_target_are_rarely_claimed():
    target = [0.25, 0.25, 0.5]
    counts = rng(1).multinomial(40, target, size=2000)
    values = target_p_values(counts, target, rng=rng())
    assert (values <= 0.05).mean() < 0.065
    # Counts are whole numbers, so the test cannot use up its 5 %.
    assert (values <= 0.05).mean() > 0.015


def test_a_zero_class_is_allowed_and_one_face_of_it_counts():
    values = target_p_values(
        np.array([[10, 10, 0], [10, 10, 1], [0, 0, 0]]), [0.5, 0.5, 0.0], rng=rng(), draws=99
    )
    assert values[0] == 1.0
    assert np.isnan(values[2])
    assert values[1] <= 1.0
    gone = target_p_values(np.array([[0, 0, 20]]), [0.5, 0.5, 0.0], rng=rng(), draws=99)
    assert gone[0] == 0.01


def test_adjusted_values_are_those_of_scipy():
    values = rng(2).random(30) ** 3
    assert_close(benjamini_hochberg(values), false_discovery_control(values), FLOAT64)
    with_gap = np.insert(values, 4, np.nan)
    found = benjamini_hochberg(with_gap)
    assert np.isnan(found[4])
    assert_close(np.delete(found, 4), false_discovery_control(values), FLOAT64)
    assert benjamini_hochberg(np.array([])).size == 0


def test_false_claims_stay_at_the_rate_that_was_promised():
    """Half the prompts follow the target: of what is claimed, 5 % at most is false on average."""
    draw, rates = rng(3), []
    for _ in range(60):
        null = draw.multinomial(60, [0.5, 0.5], size=20)
        real = draw.multinomial(60, [0.75, 0.25], size=20)
        found = benjamini_hochberg(
            target_p_values(np.concatenate([null, real]), [0.5, 0.5], rng=draw, draws=999)
        )
        claims = found <= 0.05
        rates.append(claims[:20].sum() / max(1, claims.sum()))
    assert np.mean(rates) < 0.05


def test_bad_input_is_refused():
    with pytest.raises(TargetError, match="no distribution over the 2 classes"):
        target_p_values(np.array([[1, 2]]), [0.5, 0.2], rng=rng())
    with pytest.raises(ConfigError, match="at least one draw"):
        target_p_values(np.array([[1, 2]]), [0.5, 0.5], rng=rng(), draws=0)
    with pytest.raises(ArtifactError, match=r"outside \[0, 1\]"):
        benjamini_hochberg(np.array([0.5, 1.5]))


def test_a_prompts_own_target_is_what_it_is_tested_against():
    counts = np.array([[18, 2], [18, 2], [10, 10]])
    targets = np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5]])
    found = target_p_values(counts, targets, rng=rng())
    assert found[0] == 1.0
    assert found[1] < 0.01
    assert found[2] == 1.0
    same = target_p_values(counts, np.tile([0.5, 0.5], (3, 1)), rng=rng())
    assert_close(same, target_p_values(counts, [0.5, 0.5], rng=rng()), FLOAT64)
