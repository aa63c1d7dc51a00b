"""Closed-form editing of cross-attention (Gandikota et al. 2024, "UCE", arXiv 2308.14761)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Linear

from fairness_core.baselines.concepts import require_text_unet
from fairness_core.diffusion import DiffusionStack
from fairness_core.errors import ConfigError, ModelError

__all__ = ["edit_matrix", "edited_weights", "load_edit"]

# Keys and values are what cross-attention computes from the text; its queries see the image.
EDITED = (".attn2.to_k", ".attn2.to_v")


def edit_matrix(
    concepts: Float[Tensor, "e d"],
    targets: Float[Tensor, "e d"],
    preserved: Float[Tensor, "p d"],
    *,
    regularisation: float,
) -> Float[Tensor, "d d"]:
    """M with W = W0 M, UCE's edit of every projection W0 at once (Gandikota et al. 2024).

    ``W = (l W0 + sum_E v_i* c_i^T + sum_P W0 c_j c_j^T) G^-1`` with
    ``G = l I + sum_E c_i c_i^T + sum_P c_j c_j^T`` minimises
    ``sum_E |W c_i - v_i*|^2 + sum_P |W c_j - W0 c_j|^2 + l |W - W0|^2``. With ``v_i* = W0 t_i`` the
    first projection factors out, so that one matrix serves all layers. The term in l is the
    released code's; it keeps the inverse defined with few concepts.

    Args:
        concepts: c_i, text states of what is edited.
        targets: t_i, the states whose keys and values they are to get.
        preserved: c_j, states whose keys and values are to stay; may be empty.
        regularisation: l, greater than 0.

    Returns:
        M in float64.

    Raises:
        ConfigError: The regularisation is not greater than 0.
    """
    if not regularisation > 0:
        raise ConfigError(
            "The closed form needs a regularisation greater than 0", given=regularisation
        )
    c, t, kept = concepts.double(), targets.double(), preserved.double()
    eye = regularisation * torch.eye(c.shape[1], dtype=torch.float64, device=c.device)
    both = eye + kept.T @ kept
    # M = (both + t^T c) G^-1 with G symmetric is the transpose of G^-1 (both + c^T t).
    matrix: Tensor = torch.linalg.solve(both + c.T @ c, both + c.T @ t).T
    return matrix


def edited_weights(
    original: Mapping[str, Tensor], matrix: Float[Tensor, "d d"]
) -> dict[str, Tensor]:
    """W0 M of each weight, in the weight's type, contiguous, on the CPU.

    Args:
        original: As `projections` gave it, before any edit.
        matrix: M.
    """
    return {
        name: (weight.double() @ matrix.to(weight.device)).to(weight.dtype).cpu().contiguous()
        for name, weight in original.items()
    }


def projections(stack: DiffusionStack) -> dict[str, Float[Tensor, "o d"]]:
    """Copy the weights of all cross-attention keys and values, named as in the U-Net's state.

    Raises:
        ModelError: The model has not one text encoder and a U-Net, or the U-Net has none of them.
    """
    require_text_unet(stack)
    found = {
        f"{name}.weight": module.weight.detach().clone()
        for name, module in stack.unet.named_modules()
        if name.endswith(EDITED) and isinstance(module, Linear)
    }
    if not found:
        raise ModelError(
            "The network has no cross-attention whose keys and values come from the text",
            given=type(stack.unet).__name__,
            do="use a model of the Stable Diffusion layout",
        )
    return found


@torch.no_grad()
def load_edit(stack: DiffusionStack, state: Mapping[str, Tensor]) -> None:
    """Copy edited weights into the U-Net, as ``unet.load_state_dict(state, strict=False)`` does.

    Args:
        stack: Changed in place.
        state: As `edited_weights` gave it, or read from its safetensors file.

    Raises:
        ModelError: The model has not one text encoder and a U-Net, or a name or shape differs from
            the model's; nothing is copied then.
    """
    require_text_unet(stack)
    parameters = dict(stack.unet.named_parameters())
    wrong = [
        name
        for name, value in state.items()
        if name not in parameters or parameters[name].shape != value.shape
    ]
    if wrong or not state:
        raise ModelError(
            f"Edited weights and the model differ in {len(wrong)} of {len(state)} weights",
            given=wrong[0] if wrong else None,
            do="load the model that was edited",
        )
    for name, value in state.items():
        parameters[name].copy_(value)
