"""Shares and bias corrected for the classifier's errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.audit_coverage import SETTINGS, simulate
from fairness_core.errors import ArtifactError, FaceError
from fairness_core.metrics import Confusion, corrected_bias, corrected_shares, parity_gaps
from tests.helpers.close import FLOAT64, assert_close

A2 = np.array([[0.9, 0.1], [0.2, 0.8]])
A3 = np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
NAMES = ("a", "b", "c")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def log_likelihood(shares: np.ndarray, f: np.ndarray) -> float:
    return float(f @ np.log(shares @ A3))


@given(seed=st.integers(0, 10_000))
def test_what_was_mixed_is_unmixed(seed: int):
    shares = rng(seed).dirichlet([1.0, 1.0, 1.0])
    assert_close(corrected_shares(shares @ A3, A3), shares, FLOAT64)


@given(seed=st.integers(0, 300))
def test_outside_the_simplex_it_is_the_likeliest_point_of_the_simplex(seed: int):
    f = rng(seed).dirichlet([0.3, 0.3, 0.3])
    found = corrected_shares(f, A3)
    assert found.min() >= 0
    assert abs(found.sum() - 1) < 1e-12
    best = log_likelihood(found, f)
    others = rng(seed).dirichlet([0.5, 0.5, 0.5], 200)
    nearby = 0.98 * found + 0.02 * np.eye(3)
    assert all(log_likelihood(other, f) <= best + 1e-6 for other in [*others, *nearby])


def test_inversion_would_be_negative_where_the_correction_is_not():
    f = np.array([0.05, 0.95])
    assert np.linalg.solve(A2.T, f).min() < 0
    assert_close(corrected_shares(f, A2), [0.0, 1.0], FLOAT64)


def test_a_matrix_without_inverse_is_refused():
    with pytest.raises(ArtifactError, match="confusion matrix has no inverse"):
        corrected_shares(np.array([0.5, 0.5]), np.full((2, 2), 0.5))


def test_a_faultless_classifier_needs_no_correction():
    counts = rng(1).multinomial(100, rng(2).dirichlet([1.0, 1.0, 1.0], 20))
    sure = Confusion(np.eye(3, dtype=int) * 10_000_000, NAMES)
    found = corrected_bias(counts, sure, rng=rng(), resamples=100)
    raw = float(parity_gaps(counts / 100).mean())
    assert abs(found.bias.estimate - raw) < 0.005
    assert_close([s.estimate for s in found.shares], (counts / 100).mean(0), FLOAT64_LOOSE)


FLOAT64_LOOSE = type(FLOAT64)(0.0, 1e-5, "the prior's weight against ten million labels")


def test_few_labels_widen_the_interval():
    counts = rng(1).multinomial(160, rng(2).dirichlet([1.0, 1.0], 20) @ A2)
    widths = []
    for labels in (20, 20_000):
        table = Confusion((A2 * labels).astype(int), NAMES[:2])
        found = corrected_bias(counts, table, rng=rng(), resamples=200).shares[0]
        widths.append(found.high - found.low)
    assert widths[0] > 1.2 * widths[1]


def test_no_error_seen_is_not_no_error_possible():
    table = Confusion(np.eye(2, dtype=int) * 20, NAMES[:2])
    assert 0 < table.matrix[0, 1] < 0.05
    assert table.draw(rng(), 500)[:, 0, 1].std() > 0.005


def test_what_cannot_be_corrected_is_said():
    assert Confusion(np.array([[50, 3], [2, 9]]), NAMES[:2]).problem(10) is None
    few = Confusion(np.array([[50, 3], [2, 3]]), NAMES[:2]).problem(10)
    assert few == "fewer than 10 labelled faces of b: 5"
    blind = Confusion(np.array([[50, 50], [50, 50]]), NAMES[:2]).problem(10)
    assert blind is not None
    assert "cannot tell" in blind


def test_bad_input_is_refused():
    table = Confusion(np.eye(2, dtype=int) * 20, NAMES[:2])
    with pytest.raises(FaceError, match="No prompt has a face"):
        corrected_bias(np.zeros((2, 2), dtype=int), table, rng=rng())
    with pytest.raises(ArtifactError, match="not of the measured classes"):
        corrected_bias(np.ones((2, 3), dtype=int), table, rng=rng())


@pytest.mark.slow
def test_intervals_hold_the_truth_and_the_error_falls_to_a_quarter():
    """A short run of benchmarks/audit_coverage.py, which has 200 audits of each setting."""
    found = simulate(SETTINGS[2], audits=30, resamples=100, seed=3)
    # 95 % of 30 is 28.5; fewer than 24 has a probability below 0.2 % at that coverage
    assert found.raw_coverage >= 24 / 30
    assert found.corrected_coverage >= 24 / 30
    assert found.corrected_error <= found.raw_error / 4
