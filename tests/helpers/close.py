"""Named tolerances, each with its reason, so that no test carries a bare number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Tolerance:
    """|actual - expected| <= absolute + relative * |expected|, and why."""

    relative: float
    absolute: float
    reason: str


EXACT = Tolerance(0.0, 0.0, "the same operations in the same order")
FLOAT64 = Tolerance(1e-10, 1e-10, "float64 sums of up to some thousand terms, in another order")
FLOAT32 = Tolerance(1e-5, 1e-6, "float32 values from the same formula, in another order")
FLOAT32_SUM = Tolerance(1e-4, 1e-5, "float32 sums over pixels or many network calls")
GRADIENT = Tolerance(1e-4, 1e-6, "the issue's bound for gradients through a sampler in float32")
PUBLISHED = Tolerance(0.0, 3e-3, "figures published with three digits, one of them rounded up")


def sampled(draws: int, spread: float = 0.5) -> Tolerance:
    """Five standard errors of a mean of ``draws`` values whose deviation is at most ``spread``."""
    return Tolerance(0.0, 5 * spread / draws**0.5, f"five standard errors of {draws} draws")


def assert_close(
    actual: ArrayLike | torch.Tensor, expected: ArrayLike | torch.Tensor, tolerance: Tolerance
) -> None:
    """Equal shapes, and every entry within the tolerance; nan never is."""
    left, right = _array(actual), _array(expected)
    assert left.shape == right.shape, f"shapes differ: {left.shape} and {right.shape}"
    np.testing.assert_allclose(
        left,
        right,
        rtol=tolerance.relative,
        atol=tolerance.absolute,
        equal_nan=False,
        err_msg=tolerance.reason,
    )


def _array(value: ArrayLike | torch.Tensor) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().double().numpy()
    return np.asarray(value, dtype=np.float64)


# AdamW divides a gradient by its own size, which magnifies rounding where it is near zero.
TRAINED = Tolerance(1e-3, 1e-5, "weights after several AdamW steps in float32")
