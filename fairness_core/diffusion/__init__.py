"""Text-to-image diffusion: load, encode, sample, decode, adapt, and the adjusted gradient."""

from __future__ import annotations

from fairness_core.diffusion.adapters import (
    LoraSpec,
    adapter_state,
    add_lora,
    disabled,
    load_adapter_state,
    trainable,
)
from fairness_core.diffusion.adjusted_gradient import StepChoice, accumulate_gradient, choose_steps
from fairness_core.diffusion.coefficients import (
    WeightMode,
    sampler_coefficients,
    step_weights,
)
from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.decode import decode
from fairness_core.diffusion.encode import encode_prompts, tokenize
from fairness_core.diffusion.families import FAMILIES, Family
from fairness_core.diffusion.full_gradient import accumulate_full_gradient
from fairness_core.diffusion.loading import load_scheduler
from fairness_core.diffusion.sample import sample
from fairness_core.diffusion.scheduler import (
    SAMPLERS,
    network_calls,
    scheduler_facts,
    scheduler_of,
)
from fairness_core.diffusion.soft_prompt import (
    add_soft_tokens,
    insert_soft_tokens,
    soft_tokens,
)
from fairness_core.diffusion.stack import DiffusionStack, NetworkCalls

__all__ = [
    "FAMILIES",
    "SAMPLERS",
    "Conditioning",
    "DiffusionStack",
    "Family",
    "LoraSpec",
    "NetworkCalls",
    "StepChoice",
    "WeightMode",
    "accumulate_full_gradient",
    "accumulate_gradient",
    "adapter_state",
    "add_lora",
    "add_soft_tokens",
    "choose_steps",
    "decode",
    "disabled",
    "encode_prompts",
    "insert_soft_tokens",
    "load_adapter_state",
    "load_scheduler",
    "network_calls",
    "sample",
    "sampler_coefficients",
    "scheduler_facts",
    "scheduler_of",
    "soft_tokens",
    "step_weights",
    "tokenize",
    "trainable",
]
