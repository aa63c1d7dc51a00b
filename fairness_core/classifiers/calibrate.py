"""Make a classifier's confidence mean what it says, and measure how far it does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fairness_core.errors import ConfigError

__all__ = ["expected_calibration_error", "fit_temperature", "reliability"]

LOWEST, HIGHEST = 0.05, 20.0


@torch.no_grad()
def fit_temperature(logits: Float[Tensor, "n k"], labels: Int[Tensor, " n"]) -> float:
    """Find T that minimises the cross entropy of softmax(logits / T) (Guo et al. 2017, §4.2).

    The cross entropy is convex in 1/T; it is searched over T in [0.05, 20].

    Args:
        logits: Of images that the classifier was not trained on, no temperature applied.
        labels: Their class indices.

    Raises:
        ConfigError: No image, or a label that is no class.
    """
    _check(logits, labels)
    exact, target = logits.double(), labels.long()

    def loss(log_inverse: float) -> float:
        return float(F.cross_entropy(exact * np.exp(log_inverse), target))

    found = minimize_scalar(
        loss, bounds=(-np.log(HIGHEST), -np.log(LOWEST)), method="bounded", options={"xatol": 1e-6}
    )
    return float(np.exp(-found.x))


def reliability(
    probs: Float[Tensor, "n k"], labels: Int[Tensor, " n"], bins: int = 15
) -> pd.DataFrame:
    """Compare confidence with accuracy, by confidence: the table of a reliability diagram.

    Args:
        probs: Rows summing to 1; the confidence is a row's largest entry.
        labels: True class indices.
        bins: Number of equal intervals of [0, 1], each open below and closed above.

    Returns:
        A row for each bin: ``low``, ``high``, ``count``, mean ``confidence`` and ``accuracy`` (both
        in [0, 1], NaN in an empty bin).

    Raises:
        ConfigError: No image, a label that is no class, or no bin.
    """
    _check(probs, labels)
    if bins < 1:
        raise ConfigError("A reliability diagram needs at least one bin", given=bins)
    top = probs.double().max(dim=-1)
    confidence = top.values.cpu().numpy()
    right = (top.indices == labels).double().cpu().numpy()
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    divisor = np.where(count > 0, count, np.nan)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "count": count,
            "confidence": np.bincount(place, confidence, minlength=bins) / divisor,
            "accuracy": np.bincount(place, right, minlength=bins) / divisor,
        }
    )


def expected_calibration_error(
    probs: Float[Tensor, "n k"], labels: Int[Tensor, " n"], bins: int = 15
) -> float:
    """Compute sum over bins of (n_b / n) |accuracy_b - confidence_b| (Naeini et al. 2015).

    Args:
        probs: Rows summing to 1; the confidence is a row's largest entry.
        labels: True class indices.
        bins: Number of equal intervals of [0, 1].

    Returns:
        A number in [0, 1]; 0 when confidence and accuracy agree in every bin.

    Raises:
        ConfigError: No image, a label that is no class, or no bin.
    """
    table = reliability(probs, labels, bins)
    gap = (table["accuracy"] - table["confidence"]).abs().fillna(0.0)
    return float((gap * table["count"]).sum() / len(labels))


def _check(rows: Tensor, labels: Tensor) -> None:
    if len(labels) == 0 or int(labels.min()) < 0 or int(labels.max()) >= rows.shape[1]:
        raise ConfigError(
            "Calibration needs labelled images whose labels are classes",
            given=f"{len(labels)} labels for {rows.shape[1]} classes",
        )
