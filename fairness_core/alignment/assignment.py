"""Images to cells at the least total distance, for one or for many wanted counts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from scipy.special import gammaln

from fairness_core.attributes import AttributeSpace

__all__ = [
    "average_plan",
    "cell_costs",
    "composition_probabilities",
    "compositions",
    "count_compositions",
]

# Far above float64 rounding of a distance and, times row and cell, below a float32 step of p.
TIE_STEP = 1e-12


def cell_costs(
    probabilities: Sequence[Float64[np.ndarray, "n _"]], space: AttributeSpace
) -> Float64[np.ndarray, "n cells"]:
    """cost[i, cell] = sqrt(sum_a |p_a,i - onehot(cell_a)|_2^2).

    Args:
        probabilities: One array "n k_a" per attribute, in the space's order.
        space: Gives the cells.

    Returns:
        Distances, in [0, sqrt(2 * attributes)].
    """
    cells = np.array(space.cells)
    squares = [
        ((p[:, None, :] - np.eye(p.shape[1])) ** 2).sum(-1)[:, cells[:, a]]
        for a, p in enumerate(probabilities)
    ]
    return np.asarray(np.sqrt(np.sum(squares, axis=0)))


def average_plan(
    cost: Float64[np.ndarray, "n cells"],
    counts: Int64[np.ndarray, "d cells"],
    weights: Float64[np.ndarray, " d"],
) -> Float64[np.ndarray, "n cells"]:
    """plan[i, c] = sum_d weights[d] 1[image i is in cell c of the best plan for counts[d]].

    Args:
        cost: Distance of every image to every cell.
        counts: Images wanted per cell, d times; each sums to n.
        weights: Summing to 1.

    Returns:
        Rows in the simplex. Equal rows: the earlier row gets the earlier cell.
    """
    plan = np.zeros_like(cost)
    rows, cells = np.arange(cost.shape[0]), np.arange(cost.shape[1])
    cost = _break_ties(cost)
    for count, weight in zip(counts, weights, strict=True):
        plan[rows, _solve(cost, cells.repeat(count))] += weight
    return plan


def _break_ties(cost: Float64[np.ndarray, "n cells"]) -> Float64[np.ndarray, "n cells"]:
    """Cost less a vanishing row * cell: of equal rows the later one then takes the later cell."""
    ties = np.outer(np.arange(cost.shape[0]), np.arange(cost.shape[1]))
    return np.asarray(cost - TIE_STEP * ties)


def _solve(
    cost: Float64[np.ndarray, "n cells"], places: Int64[np.ndarray, " n"]
) -> Int64[np.ndarray, " n"]:
    """The cell of each image when place j, of cell places[j], takes exactly one image."""
    _, chosen = linear_sum_assignment(cost[:, places])
    return np.asarray(places[chosen])


def count_compositions(n: int, cells: int) -> int:
    """Number of ways to place n images in ``cells`` cells: C(n + cells - 1, cells - 1)."""
    return math.comb(n + cells - 1, cells - 1)


def compositions(
    n: int, support: Int64[np.ndarray, " s"], n_cells: int
) -> Int64[np.ndarray, "d cells"]:
    """Every way to place n images in the cells of ``support``, by stars and bars.

    Args:
        n: Images.
        support: The cells that may be used, at least one.
        n_cells: All cells; those outside the support stay empty.

    Returns:
        Counts, each row summing to n.
    """
    bars = itertools.combinations(range(n + support.size - 1), support.size - 1)
    inner = np.array(list(bars), dtype=np.int64)
    edges = np.pad(inner, ((0, 0), (1, 1)), constant_values=-1)
    edges[:, -1] = n + support.size - 1
    counts = np.zeros((len(inner), n_cells), dtype=np.int64)
    counts[:, support] = np.diff(edges, axis=1) - 1
    return counts


def composition_probabilities(
    counts: Int64[np.ndarray, "d cells"], shares: Float64[np.ndarray, " cells"]
) -> Float64[np.ndarray, " d"]:
    """P(m) = n! / prod_c m_c! * prod_c share_c^m_c, scaled to sum to 1 over the rows.

    Args:
        counts: All compositions of n; zero where the share is zero.
        shares: Summing to 1.

    Returns:
        Probabilities, summing to 1.
    """
    support = shares > 0
    inside = counts[:, support]
    log = gammaln(inside.sum(1) + 1) + (inside * np.log(shares[support]) - gammaln(inside + 1)).sum(
        1
    )
    weights = np.exp(log)
    return np.asarray(weights / weights.sum())
