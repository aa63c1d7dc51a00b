"""The Frechet distance against the formula with a matrix root, and mean pairwise distances."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fairness_core.errors import ArtifactError
from fairness_core.metrics import frechet_distance, mean_pairwise_distance, paired_means


@pytest.mark.parametrize(("n", "m", "d"), [(40, 60, 5), (4, 7, 9), (30, 3, 6)])
def test_it_is_the_formula_with_a_matrix_root(n, m, d):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, d)), rng.normal(1.0, 2.0, size=(m, d))
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The root of the symmetric form: S T itself is singular with few rows.
    values, axes = np.linalg.eigh(s)
    half = axes @ np.diag(np.sqrt(values.clip(min=0))) @ axes.T
    root = np.sqrt(np.linalg.eigvalsh(half @ t @ half).clip(min=0)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * root
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)


def test_known_distances():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(500, 4))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a + 3.0) == pytest.approx(36)
    # Twice as wide: tr(S + 4 S - 4 S) = tr S.
    wide = 2 * (a - a.mean(0)) + a.mean(0)
    assert frechet_distance(a, wide) == pytest.approx(np.trace(np.cov(a, rowvar=False)))


def test_two_samples_of_one_distribution_are_apart_and_less_so_when_larger():
    rng = np.random.default_rng(1)
    draws = [frechet_distance(*rng.normal(size=(2, n, 10))) for n in (20, 200, 2000)]
    assert draws[0] > 3 * draws[1] > 9 * draws[2] > 0


def test_what_has_no_distance():
    with pytest.raises(ArtifactError, match="two or more embeddings"):
        frechet_distance(np.ones((1, 3)), np.ones((5, 3)))
    with pytest.raises(ArtifactError, match="of one width"):
        frechet_distance(np.ones((4, 3)), np.ones((5, 2)))
    with pytest.raises(ArtifactError, match="not finite"):
        frechet_distance(np.full((4, 3), np.nan), np.ones((5, 3)))
    with pytest.raises(ArtifactError, match="needs two of them"):
        mean_pairwise_distance(np.ones((1, 3)))


def test_mean_pairwise_distance_is_over_all_pairs():
    rows = np.random.default_rng(2).normal(size=(9, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert mean_pairwise_distance(rows) == pytest.approx(pdist(rows, "cosine").mean())
    assert mean_pairwise_distance(rows[[0, 0]]) == pytest.approx(0)


def test_intervals_of_paired_means_hold_the_truth():
    rng = np.random.default_rng(3)
    held = np.zeros(2)
    for _ in range(200):
        own = rng.normal(0.5, 0.1, size=30)  # what a prompt has in common cancels
        found = paired_means(own, 0.8 * own + rng.normal(0, 0.02, 30), rng=rng, resamples=300)
        held += [
            found.difference.low <= -0.1 <= found.difference.high,
            found.ratio.low <= 0.8 <= found.ratio.high,
        ]
    assert (held / 200 > 0.88).all()
    assert found.ratio.high - found.ratio.low < 0.06


def test_paired_means_refuse_what_is_not_paired():
    rng = np.random.default_rng(0)
    with pytest.raises(ArtifactError, match="differ in prompts"):
        paired_means(np.ones(2), np.ones(3), rng=rng)
    assert paired_means(np.zeros(2), np.ones(2), rng=rng).ratio is None
