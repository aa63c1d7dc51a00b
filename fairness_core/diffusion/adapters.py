"""What is trained: low-rank adapters (LoRA, Hu et al. 2021) of the networks, or soft tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.nn import Module, Parameter

from fairness_core.diffusion.families import FAMILIES
from fairness_core.diffusion.families.base import TEXT_TARGETS
from fairness_core.diffusion.soft_prompt import soft_tokens
from fairness_core.diffusion.stack import DiffusionStack
from fairness_core.errors import ConfigError, ModelError

__all__ = [
    "TARGETS",
    "LoraSpec",
    "adapter_state",
    "add_lora",
    "disabled",
    "load_adapter_state",
    "trainable",
]

# Layers that get adapters, by the name of the part they are in, of every family.
TARGETS: dict[str, tuple[str, ...]] = {
    name: TEXT_TARGETS for family in FAMILIES.values() for name in family.adapted
} | {family.network: family.network_targets for family in FAMILIES.values()}
ADAPTER = "default"


@dataclass(frozen=True)
class LoraSpec:
    """Size of the adapters of one network.

    Attributes:
        rank: At least 1.
        alpha: Above 0; the adapter's scale is alpha/rank. None: the rank, so that the scale is 1
            and a file without metadata loads the same.
    """

    rank: int
    alpha: float | None = None

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ConfigError("A LoRA rank is at least 1", given=self.rank)
        if self.alpha is not None and self.alpha <= 0:
            raise ConfigError("A LoRA alpha is above 0", given=self.alpha)


def add_lora(
    stack: DiffusionStack,
    *,
    text_encoder: LoraSpec | None,
    unet: LoraSpec | None,
    generator: torch.Generator,
) -> None:
    """Put ``W + (alpha/rank) B A`` in place of W in attention and feed-forward layers.

    Only A and B train. A is uniform in ``+-1/sqrt(in)`` (peft's own distribution) and B zero, so
    the model starts unchanged. Adapters are float32 whatever the type of the frozen weights.

    Args:
        stack: Changed in place; its own weights stop requiring gradients.
        text_encoder: Adapters on query, key, value, output and both feed-forward layers of every
            CLIP text encoder. T5 is never adapted: stock diffusers does not load adapters for it.
        unet: Adapters on query, key, value and output of every attention of the network: the
            U-Net, or the transformer, there on the text's own projections too.
        generator: Source of A, on the CPU.

    Raises:
        ConfigError: Neither network is to be adapted.
        ModelError: The stack has adapters already.
    """
    if text_encoder is None and unet is None:
        raise ConfigError(
            "No adapters were asked for", do="train the text encoder, the U-Net or both"
        )
    if trainable(stack):
        raise ModelError("The model has adapters already", do="load it again from its folder")
    for encoder in stack.text_encoders.values():
        encoder.requires_grad_(False)
    for part, network in stack.adaptable.items():
        network.requires_grad_(False)
        spec = unet if part == stack.family.network else text_encoder
        if spec is not None:
            _inject(network, spec, TARGETS[part], generator)


def _inject(
    network: Module, spec: LoraSpec, targets: tuple[str, ...], generator: torch.Generator
) -> None:
    config = LoraConfig(
        r=spec.rank,
        lora_alpha=spec.rank if spec.alpha is None else spec.alpha,
        target_modules=list(targets),
        lora_dropout=0.0,
    )
    # peft initialises from the global generator; put back what it drew, then draw from ours.
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    for name, parameter in sorted(_adapters(network).items()):
        parameter.data = parameter.data.float()
        if ".lora_A." in name:
            bound = 1.0 / math.sqrt(parameter.shape[1])
            drawn = torch.rand(parameter.shape, generator=generator)
            parameter.data.copy_((2.0 * drawn - 1.0) * bound)
        else:
            parameter.data.zero_()
        parameter.requires_grad_(True)


def _adapters(network: Module) -> dict[str, Parameter]:
    return {
        name.replace(f".{ADAPTER}.", "."): parameter
        for name, parameter in network.named_parameters()
        if ".lora_A." in name or ".lora_B." in name
    }


def trainable(stack: DiffusionStack) -> dict[str, Parameter]:
    """Find the adapters' parameters.

    Returns:
        By name, sorted, such as ``text_encoder.encoder.layers.0.mlp.fc1.lora_A.weight``: the
        network's name before the key that peft gives the parameter. Soft tokens are
        ``soft_prompt.tokens``. Empty without adapters.
    """
    found = {
        f"{part}.{name}": parameter
        for part, network in stack.adaptable.items()
        for name, parameter in _adapters(network).items()
    }
    prefix = soft_tokens(stack)
    if prefix is not None:
        found["soft_prompt.tokens"] = prefix.tokens
    return dict(sorted(found.items()))


@contextmanager
def disabled(stack: DiffusionStack) -> Iterator[None]:
    """Run the frozen model, bit for bit, inside the block; the adapters come back after it."""
    layers = [
        module
        for network in stack.adaptable.values()
        for module in network.modules()
        if isinstance(module, BaseTunerLayer) and not module.disable_adapters
    ]
    wanted = {
        parameter: parameter.requires_grad for layer in layers for parameter in layer.parameters()
    }
    for layer in layers:
        layer.enable_adapters(False)
    prefix = soft_tokens(stack)
    shown = prefix is not None and prefix.active
    if prefix is not None:
        prefix.active = False
    try:
        yield
    finally:
        if prefix is not None:
            prefix.active = shown
        for layer in layers:
            layer.enable_adapters(True)
        for parameter, flag in wanted.items():
            parameter.requires_grad_(flag)


def adapter_state(stack: DiffusionStack) -> dict[str, Tensor]:
    """Copy the adapters' weights, named as in ``trainable``, contiguous, on the CPU."""
    return {
        name: parameter.detach().cpu().clone().contiguous()
        for name, parameter in trainable(stack).items()
    }


def load_adapter_state(stack: DiffusionStack, state: Mapping[str, Tensor]) -> None:
    """Copy weights into the adapters that the stack has.

    Args:
        stack: With adapters of the same kind and size.
        state: As ``adapter_state`` gave it.

    Raises:
        ModelError: A name is missing or unknown, or a shape differs; nothing is copied then.
    """
    parameters = trainable(stack)
    differing = sorted(parameters.keys() ^ state.keys())
    if differing:
        raise ModelError(
            f"Adapter weights and the model's adapters differ in {len(differing)} names",
            given=differing[0],
            do="add adapters to the same networks before loading",
        )
    for name, parameter in parameters.items():
        if parameter.shape != state[name].shape:
            raise ModelError(
                f"Adapter weight {name} has shape {tuple(state[name].shape)}, "
                f"the model's {tuple(parameter.shape)}",
                do="use the rank or the number of tokens that the weights were trained with",
            )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])
