"""Adjusted gradient of direct finetuning (paper, section 4), as independent per-step products.

With the network's inputs held fixed, a sampler is linear in the network's outputs,
``z_0 = const - sum_t A_t e_t``. For a loss with ``v = dL/dz_0`` the gradient with the coupling
between steps left out (B_t := I) is therefore ``-sum_t A_t v^T de_t/dtheta``, and the adjusted one
puts A_t := 1. Every term needs one network call at a stored input: no graph over the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.sample import batches, check_guidance
from fairness_core.diffusion.stack import DiffusionStack
from fairness_core.errors import ConfigError
from fairness_core.types import Trajectory

__all__ = ["StepChoice", "accumulate_gradient", "choose_steps"]

StepChoice = Literal["uniform", "stratified"]


def choose_steps(
    steps: int, k: int | None, generator: torch.Generator, choice: StepChoice = "uniform"
) -> tuple[tuple[int, ...], float]:
    """Draw K of S steps; ``S/K`` makes the sum over them unbiased for that over all.

    Neighbouring steps have like gradients, so one step of each of K equal stretches says more of
    the sum than K anywhere (``benchmarks/step_choice.py``).

    Args:
        steps: S, the number of network calls of a trajectory.
        k: K, in 1..S; every step when None, and then nothing is drawn.
        generator: Where the draw comes from, on the CPU.
        choice: ``uniform``: every set of K steps is as likely; ``stratified``: one of each of K
            stretches of S/K steps. A step that belongs to two of these can be drawn twice. Either
            way every step is drawn K/S times on average.

    Returns:
        Indices in sampling order, and S/K.

    Raises:
        ConfigError: K is not in 1..S.
    """
    if k is None:
        return tuple(range(steps)), 1.0
    if not 1 <= k <= steps:
        raise ConfigError(
            f"Cannot choose {k} of {steps} steps", given=k, do=f"choose 1..{steps}, or null for all"
        )
    if choice == "stratified":
        places = torch.rand(k, generator=generator, dtype=torch.float64).tolist()
        return tuple(int((i + place) * steps / k) for i, place in enumerate(places)), steps / k
    drawn = torch.randperm(steps, generator=generator)[:k]
    return tuple(sorted(drawn.tolist())), steps / k


def accumulate_gradient(
    stack: DiffusionStack,
    trajectory: Trajectory,
    cotangent: Float[Tensor, "n c h w"],
    *,
    embedding: Conditioning,
    empty: Conditioning,
    guidance: float,
    weights: Float[Tensor, " s"],
    indices: Sequence[int],
    scale: float,
    batch_size: int | None = None,
    text_only: bool = False,
) -> None:
    """Add ``scale * sum_t w_t v^T de_t/dtheta`` to the gradients, one network call at a time.

    ``e_t = e_empty + g (e_text - e_empty)``, so v reaches the text branch times g and the
    empty-prompt branch times 1 - g; a branch in which nothing wants a gradient is not computed.
    Where g is an input of the network there is the text branch alone, times 1. The gradient lands
    in the tensors of ``embedding`` and ``empty`` and in every parameter of the network that
    requires one; the text encoders' follow from ``Conditioning.backward``. Memory does not depend
    on the number of steps.

    Args:
        stack: The model that made the trajectory.
        trajectory: Timesteps and network inputs of S steps.
        cotangent: v = dL/dz_0.
        embedding: Conditioning of each image: leaves, whether or not they require a gradient.
        empty: Conditioning of the empty prompt: likewise.
        guidance: g of the trajectory.
        weights: w_t of each of the S steps, see ``step_weights``.
        indices: The steps to sum over, see ``choose_steps``.
        scale: S/K, see ``choose_steps``.
        batch_size: Images per network call (each is two rows under guidance); all when None.
        text_only: Leave the empty-prompt branch out, which halves the calls under guidance: what
            the empty prompt stands for is held fixed. An approximation of the sum wherever
            something of that branch trains.

    Raises:
        ConfigError: Shapes that do not fit, a conditioning that is not a leaf, or nothing that
            requires a gradient.
    """
    _check_shapes(trajectory, cotangent, embedding, weights)
    for name, leaves in {"embedding": embedding, "empty": empty}.items():
        if any(leaf.requires_grad and not leaf.is_leaf for leaf in leaves.tensors.values()):
            raise ConfigError(
                f"'{name}' is part of a graph, which every step would pass through again",
                do="pass its .leaf(), then pass the gradient on with .backward()",
            )
    check_guidance(guidance)
    branches = _branches(stack, embedding, empty, guidance, text_only)
    for index in indices:
        timestep, inputs = trajectory.timesteps[index], trajectory.inputs[index]
        factor = float(weights[index]) * scale
        for rows in batches(len(inputs), batch_size):
            with torch.enable_grad():
                output = stack.predict(
                    torch.cat([inputs[rows]] * len(branches)),
                    timestep,
                    Conditioning.cat([conditioning[rows] for conditioning, _ in branches]),
                    guidance,
                )
            output.backward(torch.cat([cotangent[rows] * (factor * g) for _, g in branches]))


def _branches(
    stack: DiffusionStack,
    embedding: Conditioning,
    empty: Conditioning,
    guidance: float,
    text_only: bool,
) -> list[tuple[Conditioning, float]]:
    """Conditionings in which something wants a gradient, and the share of v that each gets."""
    trains = any(parameter.requires_grad for parameter in stack.network.parameters())
    mixes = stack.family.guided and guidance != 1.0
    branches = []
    if mixes and not text_only and (trains or empty.requires_grad):
        branches.append((empty.expand(len(embedding)), 1.0 - guidance))
    if trains or embedding.requires_grad:
        branches.append((embedding, guidance if mixes else 1.0))
    if not branches:
        raise ConfigError(
            "Nothing requires a gradient",
            do="train the network's adapters or pass an embedding that requires a gradient",
        )
    return branches


def _check_shapes(
    trajectory: Trajectory, cotangent: Tensor, embedding: Conditioning, weights: Tensor
) -> None:
    if cotangent.shape != trajectory.final.shape or len(embedding) != len(cotangent):
        raise ConfigError(
            "Latents, cotangent and embedding are of different batches",
            given=f"{tuple(trajectory.final.shape)}, {tuple(cotangent.shape)} "
            f"and {len(embedding)} rows",
        )
    if len(weights) != len(trajectory):
        raise ConfigError(
            f"There are {len(weights)} weights for {len(trajectory)} steps",
            do="compute the weights for the steps of the trajectory",
        )
