"""Frechet distance between two sets of image embeddings."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fairness_core.errors import ArtifactError

__all__ = ["frechet_distance"]


def frechet_distance(first: Float[np.ndarray, "n d"], second: Float[np.ndarray, "m e"]) -> float:
    """|mu_1 - mu_2|^2 + tr(S_1 + S_2 - 2 (S_1 S_2)^(1/2)) of Gaussians (Frechet 1957).

    tr (S_1 S_2)^(1/2) is the nuclear norm of X_1 X_2^T for centred X_i with S_i = X_i^T X_i, so no
    root of a matrix is taken. Two samples of one distribution are at a distance above 0, and the
    more so the fewer they are: give that beside any figure.

    Args:
        first: Embeddings, at least two rows.
        second: Embeddings of the same network, at least two rows.

    Returns:
        At least 0, in squared units of the embeddings; in [0, 4] for unit vectors.

    Raises:
        ArtifactError: Fewer than two rows, other widths, or values that are not finite.
    """
    if min(len(first), len(second)) < 2 or first.shape[1] != second.shape[1]:
        raise ArtifactError(
            "A Frechet distance needs two or more embeddings of each kind, of one width",
            given=(first.shape, second.shape),
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ArtifactError("An embedding is not finite", given=(first.shape, second.shape))
    parts = [_centred(rows) for rows in (first, second)]
    spread = sum(float((part**2).sum()) for part in parts)
    shared = float(np.linalg.svd(parts[0] @ parts[1].T, compute_uv=False).sum())
    moved = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    return max(float(moved @ moved) + spread - 2 * shared, 0.0)


def _centred(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "r d"]:
    """X of at most d rows with X^T X the covariance."""
    wide = rows.astype(np.float64)
    wide = (wide - wide.mean(0)) / np.sqrt(len(wide) - 1)
    # The triangle of a QR decomposition has the same product with itself, in d rows.
    return np.asarray(np.linalg.qr(wide, mode="r") if len(wide) > wide.shape[1] else wide)
