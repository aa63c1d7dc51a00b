"""A whole iteration on every pipeline class, exported, and loaded by the stock pipeline."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    adapter_state,
    add_lora,
    add_soft_tokens,
    trainable,
)
from fairness_core.errors import ModelError
from fairness_core.export import PLACEHOLDER, load_bundle, weights_sha256, write_bundle
from fairness_core.runtime.distributed import World
from fairness_core.training import Models, StepResult, training_step
from tests.diffusion.test_families import (
    TINY,
    noise_of,
    our_images,
    stock_images,
    stock_pipeline,
    without_influence,
)
from tests.helpers.close import EXACT, FLOAT32_SUM, assert_close
from tests.helpers.tiny_families import copied, make_tiny
from tests.helpers.tiny_world import TinyWorld, tiny_models, tiny_settings

# Neither rank, so that a loader that takes alpha for the rank makes other images.
ALPHA = 1.5


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders by name, written once; not to be written to."""
    base = tmp_path_factory.mktemp("families")
    return functools.cache(lambda name: make_tiny(name, base / name))


def with_adapters(world: TinyWorld, stack: DiffusionStack) -> Models:
    """The stack, every adapter weight set, and the tiny world's judges."""
    generator = torch.Generator().manual_seed(2)
    add_lora(stack, text_encoder=LoraSpec(2, ALPHA), unet=LoraSpec(3, ALPHA), generator=generator)
    with torch.no_grad():
        for parameter in trainable(stack).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return dataclasses.replace(tiny_models(world), stack=stack)


def run(models: Models, world: World, **options: Any) -> StepResult:
    return training_step(
        models,
        tiny_settings(gradient_steps=2, batch_size=2),
        world,
        prompt="a nurse",
        noise=noise_of(models.stack, 3),
        steps=3,
        targets_from=torch.Generator().manual_seed(0),
        steps_from=torch.Generator().manual_seed(1),
        **options,
    )


def images(pipeline: Any, stack: DiffusionStack, before: str = "") -> Tensor:
    return stock_images(pipeline, stack, noise_of(stack), before)


@pytest.mark.parametrize("name", list(TINY))
def test_an_iteration_trains_what_stock_diffusers_loads(
    tiny_world: TinyWorld, alone: World, folders: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    models = with_adapters(tiny_world, DiffusionStack.load(folders(name)))
    stack = models.stack
    result = run(models, alone)
    assert (result.images, result.faces) == (3, 3)
    for weight, parameter in trainable(stack).items():
        assert bool(torch.isfinite(parameter.grad).all()), weight
        assert without_influence(weight, name) or parameter.grad.any(), weight
    # An image under guidance is two rows a call, for the tuned and the frozen model.
    rows = 2 if stack.family.guided else 1
    assert stack.calls.forwards == 3 * rows * (2 * 3 + 2)
    assert stack.calls.backwards == 3 * rows * 2
    before = {weight: parameter.detach().clone() for weight, parameter in trainable(stack).items()}
    torch.optim.AdamW(trainable(stack).values(), lr=0.05).step()
    assert any(not torch.equal(p, before[weight]) for weight, p in trainable(stack).items())

    facts = {"base_sha256": weights_sha256(folders(name))}
    state = adapter_state(stack)
    write_bundle(tmp_path / "bundle", state, card="# card", facts=facts, alpha=ALPHA)
    pipeline = stock_pipeline(folders(name), stack)
    untouched = images(pipeline, stack)
    pipeline.load_lora_weights(str(tmp_path / "bundle"))
    trained = our_images(stack, noise_of(stack))
    assert_close(images(pipeline, stack), trained, FLOAT32_SUM)
    assert (trained - untouched).abs().max() > 0.01

    again = DiffusionStack.load(folders(name))
    load_bundle(again, tmp_path / "bundle", base=facts["base_sha256"])
    assert_close(our_images(again, noise_of(again)), trained, FLOAT32_SUM)
    assert not any(p.requires_grad for part in again.adaptable.values() for p in part.parameters())


def test_soft_tokens_train_through_v_prediction_too(
    tiny_world: TinyWorld, alone: World, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    stack = DiffusionStack.load(folders("sd2"))
    add_soft_tokens(stack, 3, generator=torch.Generator().manual_seed(2))
    run(dataclasses.replace(tiny_models(tiny_world), stack=stack), alone)
    # No soft token stands in the empty prompt, whose branch has no backward pass.
    assert stack.calls.backwards == 3 * 2
    (tokens,) = trainable(stack).values()
    assert (tokens.grad.norm(dim=1) > 0).all()
    torch.optim.AdamW([tokens], lr=1.0).step()

    write_bundle(tmp_path / "bundle", adapter_state(stack), card="# card", facts={})
    pipeline = stock_pipeline(folders("sd2"), stack)
    untouched = images(pipeline, stack)
    pipeline.load_textual_inversion(str(tmp_path / "bundle"), local_files_only=True)
    trained = our_images(stack, noise_of(stack))
    assert_close(images(pipeline, stack, f"{PLACEHOLDER} "), trained, FLOAT32_SUM)
    assert (trained - untouched).abs().max() > 0.01

    again = DiffusionStack.load(folders("sd2"))
    load_bundle(again, tmp_path / "bundle")
    assert_close(our_images(again, noise_of(again)), trained, FLOAT32_SUM)
    with pytest.raises(ModelError, match="Soft tokens are for models of one text encoder"):
        load_bundle(DiffusionStack.load(folders("flux")), tmp_path / "bundle")


def test_an_iteration_is_the_same_twice(
    tiny_world: TinyWorld, alone: World, folders: Callable[[str], Path]
) -> None:
    fresh = DiffusionStack.load(folders("flux"))
    first, again = (with_adapters(tiny_world, copied(fresh)) for _ in range(2))
    assert run(first, alone) == run(again, alone)
    for name, parameter in trainable(first.stack).items():
        assert_close(trainable(again.stack)[name].grad, parameter.grad, EXACT)


def test_a_bundle_of_another_class_is_refused(
    tiny_world: TinyWorld, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    models = with_adapters(tiny_world, DiffusionStack.load(folders("sd2")))
    write_bundle(tmp_path / "bundle", adapter_state(models.stack), card="", facts={})
    with pytest.raises(ModelError, match="adapter is for a unet, which the model does not have"):
        load_bundle(DiffusionStack.load(folders("flux")), tmp_path / "bundle")
