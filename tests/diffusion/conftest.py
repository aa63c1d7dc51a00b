"""A tiny random model on disk, loaded anew for each test that changes it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairness_core.diffusion import Conditioning, DiffusionStack, encode_prompts
from tests.helpers.tiny_diffusion import make_tiny_pipeline

PROMPTS = ["a photo of a nurse", "a pilot, smiling", "the face of a clerk"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pipeline folder; not to be written to."""
    return make_tiny_pipeline(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def loaded(folder: Path) -> DiffusionStack:
    """The model as loaded; not to be changed."""
    return DiffusionStack.load(folder)


@pytest.fixture
def fresh(loaded: DiffusionStack) -> Callable[[], DiffusionStack]:
    """Makes copies of the model, which is quicker than loading it."""

    def make() -> DiffusionStack:
        return DiffusionStack(
            tokenizer=loaded.tokenizer,
            text_encoder=copy.deepcopy(loaded.text_encoder),
            vae=copy.deepcopy(loaded.vae),
            unet=copy.deepcopy(loaded.unet),
            scheduler=copy.deepcopy(loaded.scheduler),
        )

    return make


@pytest.fixture
def stack(fresh: Callable[[], DiffusionStack]) -> DiffusionStack:
    """The model, fresh."""
    return fresh()


@pytest.fixture
def conditioning(stack: DiffusionStack) -> tuple[Conditioning, Conditioning]:
    """Embeddings of three prompts and of the empty one, without a graph."""
    with torch.no_grad():
        return encode_prompts(stack, PROMPTS), encode_prompts(stack, [""])


@pytest.fixture
def noise(stack: DiffusionStack, generator: torch.Generator) -> Tensor:
    """Unit normal latents of three images."""
    return torch.randn(3, *stack.latent_shape, generator=generator)
