"""What a perfectly fair sampler would score: the floor under every measured bias."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from fairness_core.errors import FaceError, TargetError

__all__ = ["fair_floor", "prompt_floors"]

SUM_TOLERANCE = 1e-6


def fair_floor(
    faces: Int[np.ndarray, " p"], target: Sequence[float] | Float[np.ndarray, "..."]
) -> float:
    """Mean over prompts of E[bias] when a prompt's faces are drawn from the target itself.

    A finite sample of a fair sampler is never exactly balanced, so its bias is not 0: print this
    beside every bias measured from the same numbers of faces. Exact, not simulated.

    Args:
        faces: Faces per prompt; prompts without a face are left out, as in ``summary``.
        target: Shares of the k >= 2 classes or cells, summing to 1; or one row for each prompt.

    Returns:
        In [0, 1].

    Raises:
        FaceError: No prompt has a face.
        TargetError: Not a distribution over two or more classes.
    """
    shown = faces > 0
    if not shown.any():
        raise FaceError("There is no prompt with a face to compute a floor for")
    shares = np.asarray(target, dtype=np.float64)
    return float(prompt_floors(faces[shown], shares[shown] if shares.ndim == 2 else shares).mean())


def prompt_floors(
    faces: Int[np.ndarray, " p"], target: Sequence[float] | Float[np.ndarray, "..."]
) -> Float[np.ndarray, " p"]:
    """E[mean over pairs of |f_i - f_j|], f = counts / n, counts ~ Multinomial(n, target).

    The mean over pairs and the expectation commute, and n_i - n_j of one pair is a sum of n
    independent steps: +1 with probability t_i, -1 with t_j, 0 otherwise. Its distribution follows
    exactly from the n-th power of the steps' characteristic function on 2 n + 1 points.

    Args:
        faces: Faces per prompt, each at least 1.
        target: Shares of the k >= 2 classes or cells, summing to 1; or one row for each prompt.

    Returns:
        The floor of each prompt, in [0, 1].

    Raises:
        FaceError: A prompt without a face.
        TargetError: Not a distribution over two or more classes.
    """
    shares = np.asarray(target, dtype=np.float64)
    if shares.ndim == 2:
        return _own_floors(faces, shares)
    if shares.ndim != 1 or shares.size < 2 or not (shares >= 0).all():
        raise TargetError("A floor needs the shares of two or more classes", given=shares.tolist())
    if abs(float(shares.sum()) - 1.0) > SUM_TOLERANCE:
        raise TargetError("The shares do not sum to 1", given=shares.tolist())
    if (faces < 1).any():
        raise FaceError("A prompt without a face has no floor", do="leave the prompt out")
    first, second = np.triu_indices(shares.size, 1)
    pairs, times = np.unique(
        np.stack([shares[first], shares[second]], axis=1), axis=0, return_counts=True
    )
    sizes, where = np.unique(faces, return_inverse=True)
    floors = np.array([times @ _pair_gaps(int(n), pairs) / times.sum() for n in sizes])
    return floors[where]


def _own_floors(
    faces: Int[np.ndarray, " p"], shares: Float[np.ndarray, "p k"]
) -> Float[np.ndarray, " p"]:
    """The floor of each prompt for its own target."""
    targets, where = np.unique(shares, axis=0, return_inverse=True)
    floors = np.empty(len(faces))
    for i, target in enumerate(targets):
        floors[where == i] = prompt_floors(faces[where == i], target)
    return floors


def _pair_gaps(n: int, pairs: Float[np.ndarray, "m 2"]) -> Float[np.ndarray, " m"]:
    """E|n_i - n_j| / n for every pair of shares (t_i, t_j)."""
    points = 2 * n + 1
    step = np.exp(-2j * np.pi * np.arange(points) / points)
    plus, minus = pairs[:, :1], pairs[:, 1:]
    characteristic = plus * step + minus * step.conj() + (1.0 - plus - minus)
    probabilities = np.fft.ifft(characteristic**n, axis=1).real
    distance = np.abs(np.fft.fftfreq(points, 1.0 / points))
    return np.asarray(probabilities @ distance / n)
