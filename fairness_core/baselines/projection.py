"""Projection of the text states (Chuang et al. 2023, "debiasVL", arXiv 2302.00070)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.baselines.concepts import require_text_unet
from fairness_core.diffusion import DiffusionStack, tokenize
from fairness_core.errors import ConfigError, ModelError

__all__ = ["calibrated_projection", "orthogonal_projection", "project_text"]

RANK_TOLERANCE = 1e-6  # singular values below this share of the largest carry no direction


def orthogonal_projection(directions: Float[Tensor, "m d"]) -> Float[Tensor, "d d"]:
    """P0 = I - A (A^T A)^-1 A^T, A's columns the directions (Chuang et al. 2023).

    Linearly dependent directions are allowed: an orthonormal basis of their span gives the same
    matrix as the inverse where that exists.

    Args:
        directions: Text states of prompts that only name the attribute, one a row.

    Returns:
        Symmetric and idempotent, in float64: every direction is mapped to 0, and what is
        orthogonal to all of them stays.
    """
    _, values, basis = torch.linalg.svd(directions.double(), full_matrices=False)
    basis = basis[values > RANK_TOLERANCE * values.max()]
    removed: Tensor = basis.T @ basis
    return torch.eye(directions.shape[1], dtype=torch.float64) - removed


def calibrated_projection(
    first: Float[Tensor, "s d"],
    second: Float[Tensor, "s d"],
    *,
    start: Float[Tensor, "d d"],
    strength: float,
) -> Float[Tensor, "d d"]:
    """P* = P0 (I + l/|S| sum (z_i - z_j)(z_i - z_j)^T)^-1 (Chuang et al. 2023).

    The minimiser of ``|P - P0|_F^2 + l/|S| sum |P z_i - P z_j|^2``: prompts that differ in the
    attribute only are to have nearly one state. The authors' generative experiments take P0 = I,
    their discriminative ones `orthogonal_projection`.

    Args:
        first: z_i, unit length, one row a pair.
        second: z_j.
        start: P0.
        strength: l, at least 0; 0 gives P0.

    Returns:
        In float64.

    Raises:
        ConfigError: No pair, or a negative strength.
    """
    if len(first) == 0 or strength < 0:
        raise ConfigError(
            "A calibrated projection needs a pair of prompts and a strength of at least 0",
            given=f"{len(first)} pairs, strength {strength}",
        )
    gaps = (first - second).double()
    spread = gaps.T @ gaps / len(gaps)
    regular = torch.eye(gaps.shape[1], dtype=torch.float64) + strength * spread
    # P0 G^-1 with G symmetric is the transpose of G^-1 P0^T.
    projection: Tensor = torch.linalg.solve(regular, start.double().T).T
    return projection


@contextmanager
def project_text(stack: DiffusionStack, projection: Float[Tensor, "d d"]) -> Iterator[None]:
    """Let the U-Net read ``P h`` in place of every text state h, inside the block.

    The empty prompt of guidance keeps its states, as in the authors' generative code.

    Args:
        stack: The model; as before after the block.
        projection: P.

    Raises:
        ModelError: The model has not one text encoder and a U-Net, or the matrix has another width
            than the text states.
    """
    require_text_unet(stack)
    width = stack.text_encoder.config.hidden_size
    if projection.shape[0] != width:
        raise ModelError(
            "The projection and the text states differ in width",
            given=f"{projection.shape[0]} and {width}",
            do="make the projection with the same model",
        )
    matrix = projection.to(device=stack.device, dtype=torch.float32)
    empty = tokenize(stack, [""])

    def hook(_: Any, args: tuple[Any, ...], output: Any) -> Any:
        states = output.last_hidden_state
        moved = (states.float() @ matrix.T).to(states.dtype)
        keep = (args[0] == empty).all(dim=1)[:, None, None]
        output.last_hidden_state = torch.where(keep, states, moved)
        return output

    handle = stack.text_encoder.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
