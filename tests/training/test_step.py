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
    sampler_coefficients,
    trainable,
)
from fairness_core.runtime.distributed import World
from fairness_core.training import (
    Models,
    Settings,
    StepResult,
    original_images,
    original_latents,
    training_step,
)
from tests.helpers.close import EXACT, FLOAT32, GRADIENT, Tolerance, assert_close
from tests.helpers.tiny_world import (
    BrightSpot,
    TinyWorld,
    tiny_models,
    tiny_realism,
    tiny_settings,
)
from tests.training.plain_step import plain_gradient
from tests.training.threads import in_threads

PROMPT = "a photo of a nurse"
STEPS = 4
PARTS: dict[str, dict[str, Any]] = {
    "text encoder": {"text_encoder": True, "unet": False},
    "U-Net": {"text_encoder": False, "unet": True},
    "both": {"text_encoder": True, "unet": True},
    "soft tokens": {"soft_tokens": 3},
}


def make_noise(models: Models, n: int) -> Tensor:
    source = torch.Generator().manual_seed(5)
    noise = torch.randn(n, *models.stack.latent_shape, generator=source)
    return noise.to(models.stack.dtype)


def run_step(
    models: Models, settings: Settings, world: World, noise: Tensor, **options: Any
) -> tuple[StepResult, dict[str, Tensor]]:
    """The step's result and the gradient that it leaves on the adapters."""
    arguments = {
        "prompt": PROMPT,
        "noise": noise,
        "steps": STEPS,
        "targets_from": torch.Generator().manual_seed(0),
        "steps_from": torch.Generator().manual_seed(1),
    }
    result = training_step(models, settings, world, **(arguments | options))
    gradient = {name: p.grad for name, p in trainable(models.stack).items() if p.grad is not None}
    assert gradient.keys() == trainable(models.stack).keys()
    return result, gradient


def assert_same_gradient(
    actual: dict[str, Tensor], expected: dict[str, Tensor], tolerance: Tolerance
) -> None:
    """Every tensor differs by at most ``relative`` of its norm, and none is zero throughout."""
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        size = float(value.norm())
        assert size > 0, name
        distance = float((actual[name] - value).norm()) / size
        assert distance <= tolerance.relative, f"{name}: {distance}, {tolerance.reason}"


def flat(gradient: dict[str, Tensor]) -> dict[str, Tensor]:
    """The whole gradient as one vector."""
    return {"all": torch.cat([gradient[name].flatten() for name in sorted(gradient)])}


def half_dark(world: TinyWorld, n: int, **parts: Any) -> BrightSpot:
    """A detector that finds no face in some of the tuned images and in others of the originals."""
    models = tiny_models(world, **parts)
    images = original_images(models, PROMPT, make_noise(models, n), steps=STEPS, guidance=3.0)
    brightness = images.clamp(-1, 1).mean(dim=(1, 2, 3)).sort().values
    return BrightSpot(darkest=float(brightness[:2].mean()))


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


def test_batch_size_does_not_matter(tiny_world: TinyWorld, alone: World) -> None:
    outcomes = []
    for size in (8, 2):
        models = tiny_models(tiny_world, unet=True, double=True)
        settings = tiny_settings(batch_size=size)
        outcomes.append(run_step(models, settings, alone, make_noise(models, 5)))
    (one, whole), (two, parts) = outcomes
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


@pytest.mark.parametrize(
    ("part", "chosen", "stored", "branches", "forwards", "backwards"),
    [
        ("text encoder", None, False, "both", 126, 42),
        ("U-Net", None, False, "both", 126, 42),
        ("text encoder", 5, False, "both", 94, 10),
        ("both", 5, True, "both", 52, 10),
        ("soft tokens", 5, False, "both", 89, 5),
        ("text encoder", 5, False, "text", 89, 5),
        ("both", 5, True, "text", 47, 5),
        ("U-Net", None, False, "text", 105, 21),
        ("soft tokens", 5, True, "text", 47, 5),
    ],
)
def test_network_calls_are_those_of_the_table(
    tiny_world: TinyWorld,
    alone: World,
    part: str,
    chosen: int | None,
    stored: bool,
    branches: str,
    forwards: int,
    backwards: int,
) -> None:
    """Method, §3: calls per image and iteration at S = 21 with guidance.

    Training the text encoder trains the empty prompt's embedding too, hence both branches; soft
    tokens stand in the prompt only.
    """
    models = tiny_models(tiny_world, **PARTS[part])
    noise = make_noise(models, 2)
    options: dict[str, Any] = {"steps": 21}
    if stored:
        options["originals"] = torch.zeros_like(noise)
    models.stack.calls.reset()
    settings = tiny_settings(gradient_steps=chosen, guided_gradient=branches)
    run_step(models, settings, alone, noise, **options)
    assert models.stack.calls.forwards / 2 == forwards
    assert models.stack.calls.backwards / 2 == backwards


def test_the_text_branch_holds_the_empty_prompt_fixed(tiny_world: TinyWorld, alone: World) -> None:
    """As a plain graph does in which the empty prompt's embedding is a constant."""
    models = tiny_models(tiny_world, double=True)
    settings = tiny_settings(gradient_weights="unadjusted", guided_gradient="text")
    noise = make_noise(models, 3)
    expected, loss = plain_gradient(models, settings, PROMPT, noise, STEPS, hold_empty=True)
    result, gradient = run_step(models, settings, alone, noise)
    assert_same_gradient(gradient, expected, GRADIENT)
    assert_close(result.losses["total"], loss, FLOAT32)


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


@pytest.mark.parametrize(
    ("part", "size"), [("text encoder", 2), ("text encoder", 3), ("soft tokens", 2)]
)
def test_processes_share_one_batch(
    tiny_world: TinyWorld, alone: World, part: str, size: int
) -> None:
    """Ragged shards; targets over all faces; sums that do not depend on who holds which row."""
    parts = PARTS[part]
    detector = half_dark(tiny_world, 5, **parts)
    models = tiny_models(tiny_world, **parts, detector=detector, double=True)
    settings, noise = tiny_settings(), make_noise(models, 5)
    whole, expected = run_step(models, settings, alone, noise)

    def work(world: World) -> tuple[StepResult, dict[str, Tensor]]:
        own = tiny_models(tiny_world, **parts, detector=detector, double=True)
        rows = world.shard(5)
        return run_step(own, settings, world, noise[rows.start : rows.stop])

    for result, gradient in in_threads(size, work):
        assert_same_gradient(gradient, expected, GRADIENT)
        assert (result.faces, result.images) == (whole.faces, whole.images)
        assert result.shares == whole.shares
        assert result.used == whole.used
        for name, value in whole.losses.items():
            assert_close(result.losses[name], value, FLOAT32)


def test_one_process_without_a_face(tiny_world: TinyWorld, alone: World) -> None:
    """Its rows count as images but not as faces, and it takes part in every exchange."""
    probe = tiny_models(tiny_world, double=True)
    noise = make_noise(probe, 4)
    images = tuned_images(probe, noise)
    order = images.clamp(-1, 1).mean(dim=(1, 2, 3)).argsort()
    noise, middle = noise[order], images[order[1:3]].clamp(-1, 1).mean(dim=(1, 2, 3)).mean()
    detector = BrightSpot(darkest=float(middle))
    whole, expected = run_step(
        tiny_models(tiny_world, detector=detector, double=True), tiny_settings(), alone, noise
    )
    assert whole.faces == 2

    def work(world: World) -> tuple[StepResult, dict[str, Tensor]]:
        own = tiny_models(tiny_world, detector=detector, double=True)
        rows = world.shard(4)
        return run_step(own, tiny_settings(), world, noise[rows.start : rows.stop])

    for result, gradient in in_threads(2, work):
        assert result.faces == 2
        assert_same_gradient(gradient, expected, GRADIENT)


def tuned_images(models: Models, noise: Tensor) -> Tensor:
    """What the adapted model shows, by way of a step that counts on nothing else."""
    seen = []

    class Spy(BrightSpot):
        def detect(self, images: Tensor) -> Any:
            seen.append(images)
            return super().detect(images)

    spying = dataclasses.replace(models, detector=Spy())
    run_step(spying, tiny_settings(), World(torch.device("cpu")), noise)
    return seen[0]


FACES = {"lambda_face": 0.5, "own_face_confidence": 0.6}


def with_realism(world: TinyWorld, **options: Any) -> Models:
    models = tiny_models(world, double=True, **options)
    return dataclasses.replace(models, realism=tiny_realism(world))


@pytest.mark.parametrize("faces", ["largest", "all"])
@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_realism_and_several_faces(
    tiny_world: TinyWorld, alone: World, size: int, faces: str
) -> None:
    detector = half_dark(tiny_world, 5)
    settings = tiny_settings(faces=faces, confidence=0.5, **FACES)
    models = with_realism(tiny_world, detector=detector)
    noise = make_noise(models, 5)
    whole, expected = run_step(models, settings, alone, noise)
    assert whole.losses["face"] > 0
    assert (whole.faces > whole.with_face) == (faces == "all")

    def work(world: World) -> tuple[StepResult, dict[str, Tensor]]:
        rows = world.shard(5)
        own = with_realism(tiny_world, detector=detector)
        return run_step(own, settings, world, noise[rows.start : rows.stop])

    for result, gradient in in_threads(size, work):
        assert_same_gradient(gradient, expected, GRADIENT)
        assert (result.faces, result.with_face, result.images) == (whole.faces, whole.with_face, 5)
        assert result.shares == whole.shares
        for name, value in whole.losses.items():
            assert_close(result.losses[name], value, FLOAT32)


def test_all_faces_of_one_each_are_the_largest(tiny_world: TinyWorld, alone: World) -> None:
    """Where an image shows one face or none, the two ways are one."""

    class One(BrightSpot):
        def detect_all(self, images: Tensor) -> Any:
            found = self.detect(images)
            image = torch.nonzero(found.present).flatten()
            return found.take(image), image

    detector = One(half_dark(tiny_world, 5).darkest)
    outcomes = []
    for faces in ("largest", "all"):
        models = with_realism(tiny_world, detector=detector)
        settings = tiny_settings(faces=faces, batch_size=2, **FACES)
        noise = make_noise(models, 5)
        outcomes.append(run_step(models, settings, alone, noise, named=["age"]))
    (one, gradient), (every, same) = outcomes
    assert one.faces < 5
    assert_same_gradient(same, gradient, GRADIENT)
    assert (every.shares, every.used) == (one.shares, one.used)
    for name, value in one.losses.items():
        assert_close(every.losses[name], value, FLOAT32)


def test_several_faces_without_one(tiny_world: TinyWorld, alone: World) -> None:
    models = with_realism(tiny_world, detector=BrightSpot(darkest=2.0))
    settings = tiny_settings(faces="all", **FACES)
    result, gradient = run_step(models, settings, alone, make_noise(models, 3))
    assert (result.faces, result.with_face, result.images) == (0, 0, 3)
    assert result.losses["face"] == 0
    assert all(bool(value.isfinite().all()) for value in gradient.values())
