"""Claims about single prompts: which of them differ from the target, errors kept in check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fairness_core.errors import ArtifactError, ConfigError, TargetError

__all__ = ["benjamini_hochberg", "target_p_values"]

SUM_TOLERANCE = 1e-6


def target_p_values(
    counts: Int[np.ndarray, "p k"],
    target: Sequence[float] | Float[np.ndarray, "..."],
    *,
    rng: np.random.Generator,
    draws: int = 9999,
) -> Float[np.ndarray, " p"]:
    """P value of each prompt: (1 + #{simulated distance >= observed}) / (1 + draws).

    The distance of shares f from the target t is sum_k |f_k - t_k| / 2. Simulated are samples of
    the target with as many faces as the prompt has, so the test is exact for every sample size
    (Davison & Hinkley 1997, eq. 4.11). A class whose target is 0 is a class like any other: one
    face of it puts the prompt further away than the same face of another class.

    Args:
        counts: Faces per prompt and class.
        target: Shares of the classes or cells, summing to 1, zeros allowed; or one row for each
            prompt.
        rng: Generator of the draws.
        draws: Samples of the target, at least 1; the smallest p value is 1 / (1 + draws).

    Returns:
        One p value per prompt, in (0, 1]; nan for a prompt without a face.

    Raises:
        ConfigError: No draw.
        TargetError: ``target`` is not a distribution over the table's classes.
    """
    shares = np.asarray(target, dtype=np.float64)
    if draws < 1:
        raise ConfigError("A simulated test needs at least one draw", given=draws)
    if shares.shape not in ((counts.shape[1],), counts.shape) or not (
        (shares >= 0).all() and (np.abs(shares.sum(-1) - 1.0) <= SUM_TOLERANCE).all()
    ):
        raise TargetError(
            f"The target is no distribution over the {counts.shape[1]} classes",
            given=shares.tolist(),
        )
    shares = np.broadcast_to(shares, counts.shape)
    n = counts.sum(1)
    # Rounded: equal counts must compare as equal, whatever the order of the classes.
    observed = np.abs(counts - n[:, None] * shares).sum(1).round(9)
    values = np.full(len(counts), np.nan)
    # Prompts of one size and target share their draws.
    kinds, kind = np.unique(np.column_stack([n, shares]), axis=0, return_inverse=True)
    for i, (size, *wanted) in enumerate(kinds):
        if size == 0:
            continue
        drawn = rng.multinomial(int(size), np.divide(wanted, np.sum(wanted)), size=draws)
        simulated = np.sort(np.abs(drawn - size * np.array(wanted)).sum(1).round(9))
        rows = kind == i
        beyond = draws - np.searchsorted(simulated, observed[rows], side="left")
        values[rows] = (1 + beyond) / (1 + draws)
    return values


def benjamini_hochberg(p_values: Float[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """q_(i) = min over j >= i of m p_(j) / j: claims with q <= 0.05 are false in 5 % on average.

    Benjamini & Hochberg (1995), "Controlling the false discovery rate". It suits a list of prompts
    that is read as a list; the prompts' images are independent, as the procedure asks.

    Args:
        p_values: In [0, 1]; nan where there was nothing to test.

    Returns:
        Adjusted values in [0, 1], in the order given; nan stays nan and counts for nothing.

    Raises:
        ArtifactError: A value outside [0, 1].
    """
    tested = np.flatnonzero(~np.isnan(p_values))
    values = p_values[tested]
    if ((values < 0) | (values > 1)).any():
        raise ArtifactError("A p value is outside [0, 1]", given=p_values.tolist())
    order = np.argsort(values, kind="stable")
    scaled = values[order] * len(values) / np.arange(1, len(values) + 1)
    adjusted = np.full(p_values.shape, np.nan)
    adjusted[tested[order]] = np.minimum.accumulate(scaled[::-1])[::-1].clip(max=1.0)
    return adjusted
