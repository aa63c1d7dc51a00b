"""Intervals of a mean bias and of a share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.errors import ArtifactError, ConfigError, FaceError
from fairness_core.metrics import bias_interval, fair_floor, parity_gaps, percentiles, wilson
from fairness_core.metrics import intervals as module
from tests.helpers.close import EXACT, FLOAT64, assert_close


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_estimate_is_the_mean_over_prompts():
    counts = np.array([[30, 10], [0, 0], [20, 20]])
    found = bias_interval(counts, rng=rng())
    assert_close(found.estimate, 0.25, FLOAT64)
    assert 0 <= found.low < 0.25 < found.high <= 1
    assert found.ci == (found.low, found.high)


def test_a_fair_sampler_has_its_floor_inside():
    """Coverage of the expected bias; resampling faces without moving back would have none."""
    n, prompts, target = 40, 24, np.full(4, 0.25)
    floor = fair_floor(np.full(prompts, n), target.tolist())
    generator = rng(1)
    inside = 0
    for _ in range(60):
        counts = generator.multinomial(n, target, size=prompts)
        found = bias_interval(counts, rng=generator, resamples=200)
        inside += found.low <= floor <= found.high
    # 95 % of 60 is 57; 50 or fewer has a probability below 0.1 % at that coverage
    assert inside > 50


def test_unequal_prompts_are_covered_too():
    """The expected bias over the population that the prompts come from."""
    generator, n = rng(2), 30
    population = generator.dirichlet([1.0, 1.0], 5000)
    truth = parity_gaps(generator.multinomial(n, population) / n).mean()
    inside = 0
    for _ in range(60):
        shares = population[generator.integers(5000, size=24)]
        found = bias_interval(generator.multinomial(n, shares), rng=generator, resamples=200)
        inside += found.low <= truth <= found.high
    assert inside > 50


def test_more_prompts_are_narrower():
    widths = []
    for prompts in (8, 32, 128):
        counts = rng(3).multinomial(40, rng(4).dirichlet([2.0, 2.0], prompts))
        found = bias_interval(counts, rng=rng())
        widths.append(found.high - found.low)
    assert widths[0] > 1.5 * widths[1] > 2.25 * widths[2]


def test_one_prompt_still_has_an_interval():
    found = bias_interval(np.array([[30, 10]]), rng=rng())
    assert found.low < 0.5 < found.high


def test_one_class_only_has_no_width():
    found = bias_interval(np.array([[40, 0], [40, 0]]), rng=rng())
    assert (found.estimate, found.low, found.high) == (1.0, 1.0, 1.0)


def test_blocks_cover_all_resamples_and_repeat_with_the_seed(monkeypatch: pytest.MonkeyPatch):
    counts = rng(3).multinomial(40, rng(4).dirichlet([2.0, 2.0], 12))
    whole = bias_interval(counts, rng=rng(), resamples=900)
    assert whole == bias_interval(counts, rng=rng(), resamples=900)
    monkeypatch.setattr(module, "BLOCK", 400)
    sizes = [len(block) for block in module.prompt_blocks(counts, 900, rng())]
    assert sizes == [400, 400, 100]
    parts = bias_interval(counts, rng=rng(), resamples=900)
    assert abs(parts.low - whole.low) < 0.3 * (whole.high - whole.low)


def test_wider_level_is_wider():
    counts = rng(3).multinomial(40, rng(4).dirichlet([2.0, 2.0], 12))
    half, most = (bias_interval(counts, rng=rng(), level=level) for level in (0.5, 0.95))
    assert most.low < half.low < half.high < most.high


def test_percentiles_are_quantiles():
    found = percentiles(0.5, np.linspace(0.0, 1.0, 101), 0.9)
    assert_close([found.estimate, found.low, found.high], [0.5, 0.05, 0.95], FLOAT64)


def test_bad_input_is_refused():
    counts = np.array([[3, 1]])
    with pytest.raises(FaceError, match="No prompt has a face"):
        bias_interval(np.zeros((3, 2), dtype=int), rng=rng())
    with pytest.raises(ConfigError, match="at least one resample"):
        bias_interval(counts, rng=rng(), resamples=0)
    for level in (0.0, 1.0, 95.0):
        with pytest.raises(ConfigError, match=r"outside \(0, 1\)"):
            bias_interval(counts, rng=rng(), level=level)


def test_wilson_against_a_worked_example():
    """15 of 50, 95 %: the roots of n (f - p)^2 = z^2 p (1 - p)."""
    low, high = wilson(15, 50)
    z2 = 1.959963984540054**2
    roots = np.roots([50 + z2, -(2 * 15 + z2), 15**2 / 50])
    assert_close([low, high], np.sort(roots), FLOAT64)


@given(n=st.integers(0, 200), data=st.data())
def test_wilson_holds_the_share_and_is_symmetric(n: int, data: st.DataObject):
    k = data.draw(st.integers(0, n))
    low, high = wilson(k, n)
    mirrored_low, mirrored_high = wilson(n - k, n)
    assert 0 <= low <= (k / n if n else 0.5) <= high <= 1
    assert_close([low, high], [1 - mirrored_high, 1 - mirrored_low], FLOAT64)


def test_wilson_ends_are_exact_and_vectorised():
    low, high = wilson([0, 10, 0], [10, 10, 0])
    assert_close(low[[0, 2]], [0.0, 0.0], EXACT)
    assert_close(high[[1, 2]], [1.0, 1.0], EXACT)
    assert low[1] > 0.7


def test_wilson_refuses_impossible_counts():
    for k, n in [(-1, 4), (5, 4)]:
        with pytest.raises(ArtifactError, match="0 <= successes <= trials"):
            wilson(k, n)
    with pytest.raises(ConfigError, match=r"outside \(0, 1\)"):
        wilson(1, 4, level=1.0)
