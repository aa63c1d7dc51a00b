"""One batch over several processes, with and without faces."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from fairness_core.runtime.distributed import World
from fairness_core.training import (
    Models,
    StepResult,
)
from tests.helpers.close import FLOAT32, GRADIENT, assert_close
from tests.helpers.tiny_world import (
    BrightSpot,
    TinyWorld,
    tiny_models,
    tiny_realism,
    tiny_settings,
)
from tests.training.steps import (
    PARTS,
    assert_same_gradient,
    half_dark,
    make_noise,
    run_step,
)
from tests.training.threads import in_threads


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
