"""Eq. 4 of the paper word for word: every u, every permutation. Only for tiny problems."""

from __future__ import annotations

import itertools
import math

import numpy as np

from fairness_core.attributes import Attribute, AttributeSpace


def make_space(*targets: tuple[float, ...]) -> AttributeSpace:
    """One attribute ``a0``, ``a1``, ... per target."""
    return AttributeSpace(
        tuple(
            Attribute(f"a{i}", tuple(f"c{k}" for k in range(len(target))), target)
            for i, target in enumerate(targets)
        )
    )


def random_probabilities(
    space: AttributeSpace, n: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Distinct rows, float64."""
    return {a.name: rng.dirichlet(np.ones(a.size), n) for a in space.attributes}


def brute_force_targets(
    probabilities: dict[str, np.ndarray], space: AttributeSpace, *, power: int = 1
) -> dict[str, np.ndarray]:
    """q_i = E_u[u_sigma*(i)] by trying all cells^n assignments u and all n! permutations.

    ``power=2`` takes squared distances instead, to show that it matters.
    """
    n = len(next(iter(probabilities.values())))
    cost = np.array(
        [
            [_distance(probabilities, space, i, cell) ** power for cell in space.cells]
            for i in range(n)
        ]
    )
    permutations = list(itertools.permutations(range(n)))
    result = {a.name: np.zeros((n, a.size)) for a in space.attributes}
    for u in itertools.product(range(space.n_cells), repeat=n):
        weight = math.prod(space.cell_target[cell] for cell in u)
        if weight == 0:
            continue
        totals = [sum(cost[i, u[s[i]]] for i in range(n)) for s in permutations]
        sigma = permutations[int(np.argmin(totals))]
        for i in range(n):
            for attribute, k in zip(space.attributes, space.cells[u[sigma[i]]], strict=True):
                result[attribute.name][i, k] += weight
    return result


def _distance(
    probabilities: dict[str, np.ndarray], space: AttributeSpace, i: int, cell: tuple[int, ...]
) -> float:
    squares = 0.0
    for attribute, k in zip(space.attributes, cell, strict=True):
        for j in range(attribute.size):
            squares += (probabilities[attribute.name][i, j] - float(j == k)) ** 2
    return math.sqrt(squares)
