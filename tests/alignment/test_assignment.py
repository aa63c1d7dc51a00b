"""Assignments with wanted counts, and the counts themselves."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.alignment.assignment import (
    average_plan,
    cell_costs,
    composition_probabilities,
    compositions,
    count_compositions,
)
from tests.helpers.brute_force import make_space
from tests.helpers.close import FLOAT64, assert_close


@given(seed=st.integers(0, 10_000), cells=st.integers(2, 5))
def test_assignment_is_the_cheapest_with_these_counts(seed: int, cells: int):
    rng = np.random.default_rng(seed)
    cost = rng.random((5, cells))
    counts = rng.multinomial(5, np.full(cells, 1 / cells))
    wanted = np.repeat(np.arange(cells), counts)
    best = min(
        sum(cost[i, c] for i, c in enumerate(order)) for order in itertools.permutations(wanted)
    )
    chosen = average_plan(cost, counts[None], np.ones(1)).argmax(1)
    assert np.bincount(chosen, minlength=cells).tolist() == counts.tolist()
    assert_close(cost[np.arange(5), chosen].sum(), best, FLOAT64)


def test_equal_rows_take_cells_in_order():
    cost = np.tile([[0.3, 0.9, 0.1]], (6, 1))
    plan = average_plan(cost, np.array([[1, 3, 2]]), np.ones(1))
    assert plan.argmax(1).tolist() == [0, 1, 1, 1, 2, 2]


def test_costs_are_distances_over_all_attributes():
    space = make_space((0.5, 0.5), (0.2, 0.3, 0.5))
    first, second = np.array([[0.6, 0.4]]), np.array([[0.1, 0.2, 0.7]])
    cost = cell_costs([first, second], space)
    assert cost.shape == (1, 6)
    # cell 4 = classes (1, 1)
    expected = math.sqrt(0.6**2 + 0.6**2 + 0.1**2 + 0.8**2 + 0.7**2)
    assert_close(cost[0, 4], expected, FLOAT64)


@pytest.mark.parametrize(("n", "cells"), [(0, 3), (1, 1), (4, 2), (5, 4), (7, 3)])
def test_compositions_are_all_and_different(n: int, cells: int):
    counts = compositions(n, np.arange(cells), cells)
    assert len(counts) == count_compositions(n, cells)
    assert len({tuple(row) for row in counts.tolist()}) == len(counts)
    assert (counts.sum(1) == n).all()
    assert (counts >= 0).all()


def test_compositions_stay_in_the_support():
    counts = compositions(4, np.array([0, 3]), 5)
    assert counts[:, [1, 2, 4]].sum() == 0
    assert sorted(counts[:, 0].tolist()) == [0, 1, 2, 3, 4]


def test_composition_probabilities_are_multinomial():
    shares = np.array([0.2, 0.0, 0.5, 0.3])
    counts = compositions(6, np.array([0, 2, 3]), 4)
    probabilities = composition_probabilities(counts, shares)
    by_hand = [
        math.factorial(6)
        / math.prod(math.factorial(m) for m in row)
        * 0.2 ** row[0]
        * 0.5 ** row[2]
        * 0.3 ** row[3]
        for row in counts.tolist()
    ]
    assert_close(probabilities, by_hand, FLOAT64)
    assert_close(probabilities @ counts, 6 * shares, FLOAT64)


def test_average_plan_weighs_the_counts():
    cost = np.array([[0.0, 1.0], [1.0, 0.0]])
    counts = np.array([[1, 1], [2, 0]])
    plan = average_plan(cost, counts, np.array([0.75, 0.25]))
    assert_close(plan, [[1.0, 0.0], [0.25, 0.75]], FLOAT64)
