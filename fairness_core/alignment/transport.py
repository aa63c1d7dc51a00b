"""Expected optimal-transport targets (paper, Eq. 4): which class each image should become."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.special import bdtr
from torch import Tensor

from fairness_core.alignment.assignment import (
    average_plan,
    cell_costs,
    composition_probabilities,
    compositions,
    count_compositions,
)
from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError, TargetError

__all__ = ["binary_targets", "enumerated_targets", "expected_targets", "sampled_targets"]

# One assignment of n images takes about 0.02 us * (n^2 + 600), so this much work is 0.2 s on one
# core: the largest case of the paper's presets with one attribute (4 classes, 32 images) fits.
EXACT_WORK = 1.1e7
CALL_WORK = 600
Array = Float64[np.ndarray, "n k"]
Rows = Float64[np.ndarray, "n _"]


def expected_targets(
    probabilities: Mapping[str, Float[Tensor, "n _"]],
    space: AttributeSpace,
    *,
    draws: int = 100,
    generator: torch.Generator,
) -> dict[str, Float[Tensor, "n _"]]:
    """q_i = E_u[u_sigma*(i)], sigma* = argmin sum_i |p_i - u_sigma(i)|_2 (paper, Eq. 4).

    u_1..u_n are drawn from the space's target, one class per image, and handed to the images at
    the least total Euclidean (not squared) distance; q is the average over all u. One attribute
    with two classes has a closed form, small problems are summed exactly over every number of
    images per cell, all others are averaged over ``draws`` sampled u.

    Several attributes are transported together: a cell is one class of each, its distance
    sqrt(sum_a |p_a - u_a|^2), and the averaged plan is summed over the other attributes.

    Ties (equal p) have many optimal assignments. Here the earlier row gets the earlier cell,
    always, so the result depends on the order of rows with equal p and on no other order. Sharing
    a tie equally would leave saturated classifiers without any confident target.

    Args:
        probabilities: p per attribute, rows in the simplex, any device; only the space's
            attributes are read and no gradient flows.
        space: The attributes to align, each with its target.
        draws: Number of sampled u, at least 1; used only where the problem is large.
        generator: CPU generator of the draws; untouched where the result is exact.

    Returns:
        q per attribute, rows in the simplex, on the device of p, at least float32. n may be 0.

    Raises:
        ConfigError: A missing attribute, or fewer than one draw.
        TargetError: Probabilities of the wrong shape or not finite.
    """
    _check_draws(draws)
    arrays = _read(probabilities, space)
    if space.sizes == (2,):
        plan = _binary_plan(arrays[0], space.attributes[0].target)
        return _marginals(plan, probabilities, space)
    n, support = arrays[0].shape[0], int(np.count_nonzero(space.cell_target))
    if count_compositions(n, support) * (n**2 + CALL_WORK) <= EXACT_WORK:
        return enumerated_targets(probabilities, space)
    return sampled_targets(probabilities, space, draws=draws, generator=generator)


def binary_targets(
    probabilities: Float[Tensor, "n 2"], target: tuple[float, float]
) -> Float[Tensor, "n 2"]:
    """q_i(class 1) = P(F <= r_i), F ~ Binomial(n, target[0]): Eq. 4 in closed form for K = 2.

    r_i counts the images whose p(class 1) is smaller; F is the number of images that are to be of
    class 0, and the cheapest way is to take those of smallest p(class 1). Exact for every target,
    including (1, 0) and (0, 1). Equal rows keep their order.

    Args:
        probabilities: Rows in the simplex.
        target: Shares of class 0 and class 1.

    Returns:
        q, rows in the simplex; column sums are n * target.

    Raises:
        TargetError: Probabilities of the wrong shape or not finite.
    """
    array = _checked(probabilities, 2, "two classes")
    return _like(_binary_plan(array, target), probabilities)


def enumerated_targets(
    probabilities: Mapping[str, Float[Tensor, "n _"]], space: AttributeSpace
) -> dict[str, Float[Tensor, "n _"]]:
    """Eq. 4 exactly: sum over counts m of Multinomial(m; n, target) times the best plan for m.

    The number of terms is ``count_compositions(n, cells with a share above 0)``; see
    ``expected_targets`` for arguments, ties and errors.
    """
    arrays = _read(probabilities, space)
    cost = cell_costs(arrays, space)
    shares = _shares(space)
    counts = compositions(cost.shape[0], np.flatnonzero(shares), space.n_cells)
    plan = average_plan(cost, counts, composition_probabilities(counts, shares))
    return _marginals(plan, probabilities, space)


def sampled_targets(
    probabilities: Mapping[str, Float[Tensor, "n _"]],
    space: AttributeSpace,
    *,
    draws: int,
    generator: torch.Generator,
) -> dict[str, Float[Tensor, "n _"]]:
    """Eq. 4 as the mean over ``draws`` counts m ~ Multinomial(n, target), each solved exactly.

    An entry of q has a standard deviation of at most 0.5 / sqrt(draws); see ``expected_targets``
    for arguments, ties and errors.
    """
    _check_draws(draws)
    cost = cell_costs(_read(probabilities, space), space)
    rows = cost.shape[0]
    if rows == 0:
        return _marginals(cost, probabilities, space)
    shares = torch.from_numpy(_shares(space)).expand(draws, -1)
    cells = torch.multinomial(shares, rows, replacement=True, generator=generator).numpy()
    counts = (cells[:, :, None] == np.arange(space.n_cells)).sum(1)
    counts, times = np.unique(counts, axis=0, return_counts=True)
    return _marginals(average_plan(cost, counts, times / draws), probabilities, space)


def _binary_plan(probabilities: Array, target: tuple[float, ...]) -> Array:
    """The closed form of ``binary_targets``."""
    n = probabilities.shape[0]
    plan = np.zeros((n, 2))
    # p1 - p0 orders as p1 does, and still tells rows apart where float32 rounds p1 to 1.
    order = np.argsort(probabilities[:, 1] - probabilities[:, 0], kind="stable")
    plan[order, 1] = bdtr(np.arange(n, dtype=np.float64), n, target[0] / sum(target))
    plan[:, 0] = 1.0 - plan[:, 1]
    return plan


def _shares(space: AttributeSpace) -> Float64[np.ndarray, " cells"]:
    shares = np.array(space.cell_target)
    return np.asarray(shares / shares.sum())


def _marginals(
    plan: Array, probabilities: Mapping[str, Tensor], space: AttributeSpace
) -> dict[str, Tensor]:
    """q_a[i, k] = sum over the cells with class k of attribute a of plan[i, cell]."""
    cells = np.array(space.cells)
    return {
        attribute.name: _like(
            plan @ (cells[:, [a]] == np.arange(attribute.size)), probabilities[attribute.name]
        )
        for a, attribute in enumerate(space.attributes)
    }


def _like(plan: Array, reference: Tensor) -> Tensor:
    dtype = torch.promote_types(reference.dtype, torch.float32)
    return torch.from_numpy(plan).to(device=reference.device, dtype=dtype)


def _read(probabilities: Mapping[str, Tensor], space: AttributeSpace) -> list[Rows]:
    """Float64 copies, one per attribute in the space's order, all of the same length."""
    missing = [name for name in space.names if name not in probabilities]
    if missing:
        raise ConfigError(
            f"There are no probabilities of {', '.join(missing)}",
            given=list(probabilities),
            do="classify every attribute that is aligned",
        )
    arrays = [_checked(probabilities[a.name], a.size, a.name) for a in space.attributes]
    if len({array.shape[0] for array in arrays}) > 1:
        raise TargetError(
            "The attributes' probabilities have different numbers of rows",
            given={a.name: len(p) for a, p in zip(space.attributes, arrays, strict=True)},
        )
    return arrays


def _checked(probabilities: Tensor, size: int, name: str) -> Rows:
    array: Rows = probabilities.detach().cpu().double().numpy()
    if array.ndim != 2 or array.shape[1] != size:
        raise TargetError(
            f"Probabilities of {name} need one row per image and {size} columns",
            given=tuple(array.shape),
        )
    if not np.isfinite(array).all():
        raise TargetError(
            f"Probabilities of {name} are not finite",
            do="look for a diverged loss or a damaged classifier",
        )
    return array


def _check_draws(draws: int) -> None:
    if draws < 1:
        raise ConfigError("Sampled targets need at least one draw", given=draws)
