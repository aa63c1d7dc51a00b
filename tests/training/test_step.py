from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fairness_core.diffusion import (
    choose_steps,
    encode_prompts,
    network_calls,
    sampler_coefficients,
    scheduler_of,
    trainable,
)
from fairness_core.runtime.distributed import World
from fairness_core.training import (
    StepResult,
    original_images,
    original_latents,
)
from tests.helpers.close import EXACT, FLOAT32, GRADIENT, assert_close
from tests.helpers.tiny_world import (
    BrightSpot,
    TinyWorld,
    tiny_models,
    tiny_settings,
)
from tests.training.plain_step import plain_gradient
from tests.training.steps import (
    PARTS,
    PROMPT,
    STEPS,
    assert_same_gradient,
    flat,
    half_dark,
    make_noise,
    run_step,
)
from tests.training.threads import in_threads


@pytest.mark.parametrize(
    ("part", "guidance"),
    [
        ("text encoder", 3.0),
        ("U-Net", 3.0),
        ("both", 3.0),
        ("both", 1.0),
        ("soft tokens", 3.0),
    ],
)
def test_gradient_is_that_of_a_plain_graph(
    tiny_world: TinyWorld, alone: World, part: str, guidance: float
) -> None:
    parts = PARTS[part]
    detector = half_dark(tiny_world, 5, **parts)
    models = tiny_models(tiny_world, **parts, detector=detector, double=True)
    settings = tiny_settings(gradient_weights="unadjusted", guidance=guidance)
    noise = make_noise(models, 5)
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS)
    result, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)
    assert_close(result.losses["total"], loss, FLOAT32)
    assert result.images == 5
    assert 0 < result.faces <= 5


@pytest.mark.parametrize("named", [[], ["gender"]])
def test_faces_below_the_threshold_are_loosened_where_asked(
    tiny_world: TinyWorld, alone: World, named: list[str]
) -> None:
    """Except in what the prompt names, however unsure the classifier is of it."""
    detector, losses = half_dark(tiny_world, 5), {}
    for unsure in ("held", "loosened"):
        models = tiny_models(tiny_world, detector=detector, double=True)
        settings = tiny_settings(gradient_weights="unadjusted", confidence=0.6, unsure=unsure)
        noise = make_noise(models, 5)
        expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, named=named)
        result, gradient = run_step(models, settings, alone, noise, named=named)
        assert min(result.used.values()) < 1
        assert_close(result.losses["total"], loss, FLOAT32)
        assert_same_gradient(gradient, expected, GRADIENT)
        losses[unsure] = result.losses["total"]
    assert losses["loosened"] < losses["held"]


def test_a_prompt_that_names_every_class_loosens_nothing(
    tiny_world: TinyWorld, alone: World
) -> None:
    losses = []
    for unsure in ("held", "loosened"):
        models = tiny_models(tiny_world, double=True)
        settings = tiny_settings(confidence=0.6, unsure=unsure)
        result, _ = run_step(
            models, settings, alone, make_noise(models, 5), named=settings.space.names
        )
        assert min(result.used.values()) < 1
        losses.append(result.losses["total"])
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("name", "mode"), [("dpm++2m", "exact"), ("heun", "exact"), ("pndm", "unadjusted")]
)
def test_a_sampler_of_another_order_or_more_calls_than_steps(
    tiny_world: TinyWorld, alone: World, name: str, mode: str
) -> None:
    """Three network calls' gradients stand for all, whatever the solver makes of their outputs."""
    models = tiny_models(tiny_world, **PARTS["text encoder"], double=True)
    models.stack.scheduler = scheduler_of(name, models.stack.scheduler)
    calls = network_calls(models.stack.scheduler, STEPS)
    assert calls == {"dpm++2m": STEPS, "pndm": STEPS + 1, "heun": 2 * STEPS - 1}[name]
    natural = sampler_coefficients(models.stack, STEPS)
    chosen, scale = choose_steps(calls, 3, torch.Generator().manual_seed(1))
    factors = [0.0] * calls
    for index in chosen:
        factors[index] = scale / (float(natural[index]) if mode == "exact" else 1.0)
    noise = make_noise(models, 3)
    settings = tiny_settings(gradient_weights=mode, gradient_steps=3)
    expected, _ = plain_gradient(models, settings, PROMPT, noise, STEPS, factors=factors)
    _, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)


@pytest.mark.parametrize("part", ["both", "soft tokens"])
def test_full_gradient_is_that_of_a_plain_graph(
    tiny_world: TinyWorld, alone: World, part: str
) -> None:
    models = tiny_models(tiny_world, **PARTS[part], double=True)
    settings = tiny_settings(gradient_weights="full", batch_size=2)
    noise = make_noise(models, 3)
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, coupled=True)
    result, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)
    assert_close(result.losses["total"], loss, FLOAT32)
    uncoupled, _ = plain_gradient(models, settings, PROMPT, noise, STEPS)
    assert any(not torch.allclose(expected[key], uncoupled[key], rtol=0.01) for key in expected)


def test_gradient_in_single_precision(tiny_world: TinyWorld, alone: World) -> None:
    models = tiny_models(tiny_world, **PARTS["U-Net"])
    settings = tiny_settings(gradient_weights="unadjusted")
    noise = make_noise(models, 5)
    expected, _ = plain_gradient(models, settings, PROMPT, noise, STEPS)
    _, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(flat(gradient), flat(expected), GRADIENT)


def test_the_plain_graph_sees_all_that_the_loss_is_made_of(
    tiny_world: TinyWorld, alone: World
) -> None:
    """The comparison above would prove little if a part of the loss slept in it."""
    models = tiny_models(tiny_world, detector=half_dark(tiny_world, 5))
    noise = make_noise(models, 5)
    usual = tiny_settings()
    result, _ = run_step(models, usual, alone, noise)
    assert result.faces < 5
    assert result.losses["image"] > 0
    assert all(result.losses[f"align_{name}"] > 0 for name in usual.space.names)
    assert any(0 < share < 1 for share in result.used.values())
    changes = {
        "lambda_image": 3.0,
        "confidence": 0.0,
        "factor1": {"gender": 1.0, "age": 1.0},
        "factor2": {"gender": 1.0, "age": 1.0},
    }
    base = plain_gradient(models, usual, PROMPT, noise, STEPS)[0]
    for name, value in changes.items():
        changed = dataclasses.replace(usual, **{name: value})
        other = plain_gradient(models, changed, PROMPT, noise, STEPS)[0]
        assert any(not torch.allclose(base[key], other[key], rtol=1e-3) for key in base), name


@pytest.mark.parametrize("mode", ["exact", "unadjusted"])
def test_chosen_steps_stand_for_all(tiny_world: TinyWorld, alone: World, mode: str) -> None:
    models = tiny_models(tiny_world, double=True)
    settings = tiny_settings(gradient_weights=mode, gradient_steps=2)
    chosen, scale = choose_steps(STEPS, 2, torch.Generator().manual_seed(1))
    natural = sampler_coefficients(models.stack, STEPS)
    factors = [0.0] * STEPS
    for index in chosen:
        factors[index] = scale / (float(natural[index]) if mode == "exact" else 1.0)
    noise = make_noise(models, 3)
    expected, _ = plain_gradient(models, settings, PROMPT, noise, STEPS, factors=factors)
    _, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)


@pytest.mark.parametrize("size", [1, 2])
def test_a_class_that_the_prompt_names_is_kept(
    tiny_world: TinyWorld, alone: World, size: int
) -> None:
    """Its targets are the originals' classes, with one process and with the faces of two."""
    detector = half_dark(tiny_world, 5)
    models = tiny_models(tiny_world, detector=detector, double=True)
    settings = tiny_settings(gradient_weights="unadjusted", confidence=0.6)
    noise = make_noise(models, 5)
    options: dict[str, Any] = {"named": ["gender"]}
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, **options)

    def work(world: World) -> tuple[StepResult, dict[str, Tensor]]:
        own = tiny_models(tiny_world, detector=detector, double=True)
        rows = world.shard(5)
        return run_step(own, settings, world, noise[rows.start : rows.stop], **options)

    for result, gradient in in_threads(size, work):
        assert 0 < result.used["gender"] < 1
        assert_close(result.losses["total"], loss, FLOAT32)
        assert_same_gradient(gradient, expected, GRADIENT)
    freely, _ = run_step(models, settings, alone, noise)
    assert freely.losses["align_gender"] != pytest.approx(result.losses["align_gender"])


def test_a_named_class_of_an_attribute_that_is_not_aligned_is_kept_too(
    tiny_world: TinyWorld, alone: World
) -> None:
    models = tiny_models(tiny_world, double=True)
    both = tiny_settings(gradient_weights="unadjusted", confidence=0.6)
    settings = dataclasses.replace(both, space=both.space.subset(["gender"]))
    noise = make_noise(models, 5)
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, named=["age"])
    result, gradient = run_step(models, settings, alone, noise, named=["age"])
    assert_close(result.losses["total"], loss, FLOAT32)
    assert_same_gradient(gradient, expected, GRADIENT)
    assert set(result.shares) == set(result.used) == {"gender"}
    assert "align_age" not in result.losses
    freely, _ = run_step(models, settings, alone, noise)
    assert result.losses["align"] > freely.losses["align"]
    assert result.losses["align_gender"] == freely.losses["align_gender"]


def test_batch_size_does_not_matter(tiny_world: TinyWorld, alone: World) -> None:
    outcomes = []
    for size, judged in ((8, None), (2, None), (8, 2), (2, 3)):
        models = tiny_models(tiny_world, unet=True, double=True)
        settings = tiny_settings(batch_size=size, loss_batch_size=judged)
        outcomes.append(run_step(models, settings, alone, make_noise(models, 5)))
    (one, whole), *others = outcomes
    for two, parts in others:
        assert_same_gradient(parts, whole, GRADIENT)
        for name, value in one.losses.items():
            assert_close(two.losses[name], value, FLOAT32)


def test_given_originals_are_those_it_would_sample(tiny_world: TinyWorld, alone: World) -> None:
    outcomes = []
    for given in (False, True):
        models = tiny_models(tiny_world)
        noise, options = make_noise(models, 3), {}
        if given:
            options["originals"] = original_latents(
                models.stack, PROMPT, noise, steps=STEPS, guidance=3.0, batch_size=8
            )
        outcomes.append(run_step(models, tiny_settings(), alone, noise, **options))
    assert outcomes[0][0] == outcomes[1][0]
    for name, value in outcomes[0][1].items():
        assert_close(outcomes[1][1][name], value, EXACT)


def test_originals_are_the_frozen_models_and_leave_the_adapters_alone(
    tiny_world: TinyWorld,
) -> None:
    models = tiny_models(tiny_world, unet=True)
    untrained = tiny_models(tiny_world, unet=True, trained=False)
    noise = make_noise(models, 2)
    before = {name: p.detach().clone() for name, p in trainable(models.stack).items()}
    states = encode_prompts(models.stack, [PROMPT]).states.detach()
    images = original_images(models, PROMPT, noise, steps=STEPS, guidance=3.0)
    frozen = original_images(untrained, PROMPT, noise, steps=STEPS, guidance=3.0)
    assert_close(images, frozen, EXACT)
    for name, parameter in trainable(models.stack).items():
        assert parameter.requires_grad
        assert parameter.grad is None
        assert_close(parameter, before[name], EXACT)
    after = encode_prompts(models.stack, [PROMPT]).states
    assert after.requires_grad
    assert_close(after, states, EXACT)


def test_recomputed_blocks_leave_the_same_gradient(tiny_world: TinyWorld, alone: World) -> None:
    found = []
    for recompute in (False, True):
        models = tiny_models(tiny_world, unet=True, double=True)
        for network in (models.stack.network, models.stack.vae):
            if recompute:
                network.enable_gradient_checkpointing()
        try:
            settings = tiny_settings(gradient_steps=2)
            found.append(run_step(models, settings, alone, make_noise(models, 2))[1])
        finally:
            models.stack.vae.disable_gradient_checkpointing()
    assert_same_gradient(found[1], found[0], GRADIENT)


def test_frozen_weights_of_half_the_bits(tiny_world: TinyWorld, alone: World) -> None:
    """The adapters stay float32, and their gradient has nearly the direction of float32's."""
    found = []
    for kind in (torch.float32, torch.bfloat16):
        models = tiny_models(tiny_world)
        stack = models.stack
        stack.vae = copy.deepcopy(stack.vae)
        for network in (stack.text_encoder, stack.unet, stack.vae):
            network.to(kind)
        for parameter in trainable(stack).values():
            parameter.data = parameter.data.float()
        noise = make_noise(models, 2).float()
        found.append(flat(run_step(models, tiny_settings(), alone, noise)[1])["all"])
    assert found[1].dtype == torch.float32
    assert float(torch.nn.functional.cosine_similarity(*found, dim=0)) > 0.9


def test_gradients_add_up(tiny_world: TinyWorld, alone: World) -> None:
    models = tiny_models(tiny_world)
    noise = make_noise(models, 2)
    once = {k: g.clone() for k, g in run_step(models, tiny_settings(), alone, noise)[1].items()}
    twice = run_step(models, tiny_settings(), alone, noise)[1]
    for name, value in once.items():
        assert_close(twice[name], 2 * value, FLOAT32)


def test_a_batch_without_a_face_keeps_its_semantics(tiny_world: TinyWorld, alone: World) -> None:
    models = tiny_models(tiny_world, detector=BrightSpot(darkest=2.0))
    result, gradient = run_step(models, tiny_settings(), alone, make_noise(models, 3))
    assert result.faces == 0
    assert result.losses["align"] == 0
    assert result.losses["image"] > 0
    assert set(result.used.values()) == {0.0}
    assert all(math.isnan(share) for shares in result.shares.values() for share in shares)
    assert all(bool(value.isfinite().all()) for value in gradient.values())
