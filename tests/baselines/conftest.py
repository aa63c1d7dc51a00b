"""A tiny diffusion model that tests may change."""

from __future__ import annotations

import pytest

from fairness_core.diffusion import DiffusionStack
from tests.helpers.tiny_diffusion import tiny_modules, tiny_scheduler


@pytest.fixture
def stack() -> DiffusionStack:
    tokenizer, text_encoder, vae, unet = tiny_modules()
    for network in (text_encoder, vae, unet):
        network.requires_grad_(False)
    return DiffusionStack(
        tokenizer=tokenizer,
        text_encoder=text_encoder,
        vae=vae,
        unet=unet,
        scheduler=tiny_scheduler(),
    )
