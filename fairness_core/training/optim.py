"""AdamW over named parameters, with a state that fits in a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import Parameter

__all__ = ["load_optimizer_state", "new_optimizer", "optimizer_state"]


def new_optimizer(
    parameters: Mapping[str, Parameter],
    *,
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) over parameters in the order of names."""
    ordered = [parameters[name] for name in sorted(parameters)]
    return torch.optim.AdamW(ordered, lr=learning_rate, betas=betas, weight_decay=weight_decay)


def optimizer_state(
    optimizer: torch.optim.AdamW, parameters: Mapping[str, Parameter]
) -> dict[str, Tensor]:
    """Step counts and moments as ``<kind>/<parameter>``; empty before the first step."""
    return {
        f"{kind}/{name}": value.detach().cpu().clone().contiguous()
        for name in sorted(parameters)
        for kind, value in optimizer.state.get(parameters[name], {}).items()
    }


def load_optimizer_state(
    optimizer: torch.optim.AdamW,
    parameters: Mapping[str, Parameter],
    state: Mapping[str, Tensor],
) -> None:
    """Put back what ``optimizer_state`` gave."""
    for key, value in state.items():
        kind, name = key.split("/", 1)
        parameter = parameters[name]
        # AdamW keeps its step count on the CPU, the moments beside the parameter.
        device = torch.device("cpu") if kind == "step" else parameter.device
        optimizer.state[parameter][kind] = value.clone().to(device)
