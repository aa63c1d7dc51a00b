"""Text-to-image diffusion: load, encode, sample, decode, adapt, and the adjusted gradient."""

from __future__ import annotations

from fairness_core.diffusion.decode import decode
from fairness_core.diffusion.encode import encode_prompts, tokenize
from fairness_core.diffusion.sample import sample
from fairness_core.diffusion.stack import DiffusionStack, NetworkCalls

__all__ = [
    "DiffusionStack",
    "NetworkCalls",
    "decode",
    "encode_prompts",
    "sample",
    "tokenize",
]
