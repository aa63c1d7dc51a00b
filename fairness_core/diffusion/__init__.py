"""Text-to-image diffusion: load, encode, sample, decode, adapt, and the adjusted gradient."""

from __future__ import annotations

from fairness_core.diffusion.adapters import (
    LoraSpec,
    add_lora,
    disabled,
    load_lora_state,
    lora_state,
    trainable,
)
from fairness_core.diffusion.adjusted_gradient import accumulate_gradient, choose_steps
from fairness_core.diffusion.coefficients import (
    WeightMode,
    sampler_coefficients,
    step_weights,
)
from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.decode import decode
from fairness_core.diffusion.encode import encode_prompts, tokenize
from fairness_core.diffusion.families import FAMILIES, Family
from fairness_core.diffusion.sample import sample
from fairness_core.diffusion.stack import DiffusionStack, NetworkCalls

__all__ = [
    "FAMILIES",
    "Conditioning",
    "DiffusionStack",
    "Family",
    "LoraSpec",
    "NetworkCalls",
    "WeightMode",
    "accumulate_gradient",
    "add_lora",
    "choose_steps",
    "decode",
    "disabled",
    "encode_prompts",
    "load_lora_state",
    "lora_state",
    "sample",
    "sampler_coefficients",
    "step_weights",
    "tokenize",
    "trainable",
]
