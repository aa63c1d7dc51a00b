"""Projections of text states: their defining properties, and how the model reads them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.baselines import calibrated_projection, orthogonal_projection, project_text
from fairness_core.diffusion import encode_prompts
from fairness_core.errors import ConfigError, ModelError

EXACT = 1e-9  # float64, matrices of width <= 8 and condition below 1e4


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(
    seed=st.integers(0, 999),
    width=st.integers(3, 8),
    rank=st.integers(1, 2),
    times=st.integers(1, 3),
)
def test_an_orthogonal_projection_removes_the_directions_and_nothing_else(seed, width, rank, times):
    directions = draw(seed, rank, width)
    # Dependent rows, where the textbook inverse does not exist.
    repeated = torch.cat([directions * factor for factor in range(1, times + 1)])
    p = orthogonal_projection(repeated)
    assert torch.allclose(p, p.T, atol=EXACT)
    assert torch.allclose(p @ p, p, atol=EXACT)
    assert torch.allclose(p @ directions.T, torch.zeros(width, rank).double(), atol=EXACT)
    assert p.trace() == pytest.approx(width - rank, abs=EXACT)
    a = directions.T
    textbook = torch.eye(width).double() - a @ torch.linalg.inv(a.T @ a) @ a.T
    assert torch.allclose(p, textbook, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_the_calibrated_projection_minimises_its_loss(seed):
    first, second, start = draw(seed, 5, 4), draw(seed + 10, 5, 4), draw(seed + 20, 4, 4)
    p = calibrated_projection(first, second, start=start, strength=3.0).requires_grad_(True)
    gaps = first - second
    loss = ((p - start) ** 2).sum() + 3.0 / 5 * ((gaps @ p.T) ** 2).sum()
    (gradient,) = torch.autograd.grad(loss, p)
    assert gradient.abs().max() < 1e-8
    # The loss is convex, and strictly so: a zero gradient is its one minimum.
    textbook = start @ torch.linalg.inv(torch.eye(4).double() + 3.0 * gaps.T @ gaps / 5)
    assert torch.allclose(p, textbook, atol=EXACT)


def test_more_strength_brings_pairs_closer_and_none_changes_nothing():
    first, second, start = draw(1, 3, 6), draw(2, 3, 6), torch.eye(6).double()
    gaps = []
    for strength in (0.0, 1.0, 100.0):
        p = calibrated_projection(first, second, start=start, strength=strength)
        gaps.append(float(((first - second) @ p.T).norm()))
    assert gaps[0] == pytest.approx(float((first - second).norm()))
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.05 * gaps[0]


def test_a_projection_needs_pairs():
    none = torch.zeros(0, 3)
    with pytest.raises(ConfigError, match="pair of prompts"):
        calibrated_projection(none, none, start=torch.eye(3), strength=1.0)


def test_the_model_reads_projected_states_and_an_unchanged_empty_prompt(stack):
    matrix = draw(4, 16, 16)
    before = encode_prompts(stack, ["", "a nurse"]).states
    with project_text(stack, matrix):
        inside = encode_prompts(stack, ["", "a nurse"]).states
        alone = encode_prompts(stack, ["a nurse"]).states
    assert torch.equal(inside[0], before[0])
    assert torch.allclose(inside[1], before[1] @ matrix.float().T, atol=1e-4)
    assert torch.allclose(alone[0], inside[1], atol=1e-5)
    assert torch.equal(encode_prompts(stack, ["", "a nurse"]).states, before)


def test_a_projection_of_another_width_is_refused(stack):
    with (
        pytest.raises(ModelError, match="differ in width.*3 and 16"),
        project_text(stack, torch.eye(3)),
    ):
        pass
