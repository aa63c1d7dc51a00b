from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from fairness_core.embeddings import FaceBank
from fairness_core.errors import ConfigError
from fairness_core.faces import align_five_points
from fairness_core.runtime.distributed import World
from fairness_core.training.cotangent import loss_gradient
from fairness_core.training.perceive import Perceived
from fairness_core.training.realism import Realism, realism_terms
from fairness_core.types import Faces, Targets
from tests.helpers.close import FLOAT64, assert_close
from tests.helpers.tiny_world import (
    SPACE,
    TinyWorld,
    five_points,
    tiny_models,
    tiny_realism,
    tiny_settings,
)
from tests.training.steps import make_noise, run_step

SIZE = 24


@pytest.fixture(scope="module")
def realism(tiny_world: TinyWorld) -> Realism:
    return tiny_realism(tiny_world, double=True)


@pytest.fixture(scope="module")
def images() -> Tensor:
    coarse = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(8)).double() * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(SIZE, SIZE), mode="bicubic")


def faces(present: tuple[bool, ...] = (True, True, True), shift: float = 0.0) -> Perceived:
    """Two faces in the first image, one in the second."""
    rows = [[2, 3, 12, 14], [11, 9, 22, 21], [5, 4, 18, 19]]
    boxes = torch.tensor(rows, dtype=torch.float64) + shift
    there = torch.tensor(present)
    p = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.6, 0.4]])
    found = Faces(boxes, five_points(boxes), torch.ones(3), there)
    return Perceived(found, {"gender": p, "age": p}, torch.tensor([0, 0, 1]))


def wants(labels: list[int], active: list[bool]) -> dict[str, Targets]:
    """The same of both attributes."""
    y = torch.tensor(labels)
    one = Targets(torch.eye(2)[y], y, torch.ones(3), torch.tensor(active))
    return dict.fromkeys(SPACE.names, one)


def terms(realism: Realism, images: Tensor, targets: dict[str, Targets], **kinds: bool) -> Tensor:
    seen = faces(kinds.get("present", (True, True, True)))
    before = faces(kinds.get("before", (True, True, True)), shift=1.0)
    originals = images.detach().flip(0)
    return realism_terms(realism, images, seen, originals, before, targets, own_face_confidence=0.9)


def embedded(realism: Realism, images: Tensor, seen: Perceived) -> Tensor:
    return realism.embedder.embed(
        align_five_points(images[seen.image], seen.faces.landmarks, seen.faces.present)
    )


def test_own_face_or_the_nearest_of_the_class(realism: Realism, images: Tensor) -> None:
    """Rows: the original is surely of the target class; is surely of the other; nothing asked."""
    found = terms(realism, images, wants([0, 0, 0], [True, True, False]))
    here = embedded(realism, images, faces())
    own = embedded(realism, images.flip(0), faces(shift=1.0))[0]
    bank = realism.bank
    both = (bank.labels["gender"] == 0) & (bank.labels["age"] == 0)
    wanted = [
        here[0] @ own,
        (here[1] @ bank.vectors[both].double().T).max(),
        (here[2] @ bank.vectors.double().T).max(),
    ]
    # The bank is stored in single precision; unit length holds as far.
    torch.testing.assert_close(found, 1 - torch.stack(wanted), atol=1e-6, rtol=1e-6)


def test_gradient_is_that_of_differences(realism: Realism, images: Tensor) -> None:
    targets = wants([0, 0, 0], [True, True, False])
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(terms(realism, x, targets).sum(), x)
    source = torch.Generator().manual_seed(1)
    for _ in range(3):
        direction = torch.randn(images.shape, generator=source, dtype=torch.float64)
        originals = images.flip(0)

        def at(step: float, way: Tensor = direction, was: Tensor = originals) -> Tensor:
            moved = images + step * way
            return realism_terms(
                realism, moved, faces(), was, faces(shift=1.0), targets, own_face_confidence=0.9
            ).sum()

        slope = (at(1e-6) - at(-1e-6)) / 2e-6
        assert abs(float(slope)) > 1e-3
        torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-6)


def test_gradient_reaches_the_pixels_of_faces_only(realism: Realism, images: Tensor) -> None:
    """One image of two has its face missing: it gets none, whatever the bank holds."""
    x = images.clone().requires_grad_()
    found = terms(realism, x, wants([0, 0, 0], [True] * 3), present=(True, False, False))
    assert found[1:].tolist() == [0.0, 0.0]
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert (gradient[1] == 0).all()
    assert gradient[0].abs().max() > 0
    assert not any(p.requires_grad for p in realism.embedder.parameters())


def test_without_any_face_there_is_nothing(realism: Realism, images: Tensor) -> None:
    found = terms(realism, images, wants([0] * 3, [False] * 3), present=(False,) * 3)
    assert_close(found, torch.zeros(3), FLOAT64)


def test_a_face_that_the_original_lacks_goes_to_the_bank(realism: Realism, images: Tensor) -> None:
    targets = wants([0, 0, 0], [True, True, True])
    found = terms(realism, images, targets, before=(False, True, True))
    other = terms(realism, images, targets)
    assert found[0] != other[0]
    assert_close(found[1:], other[1:], FLOAT64)


def test_the_loss_holds_the_face_term(tiny_world: TinyWorld) -> None:
    """Its weight times the mean over faces joins the total; without weight no bank is touched."""
    models = tiny_models(tiny_world)
    latents = torch.randn(2, *models.stack.latent_shape, generator=torch.Generator().manual_seed(3))
    originals = torch.zeros(2, 3, 32, 32)
    one, before = (faces(), faces(shift=1.0))
    seen, was = (
        Perceived(
            Faces(*(getattr(p.faces, k).float() for k in ("boxes", "landmarks", "scores")),
                  p.faces.present),
            p.probabilities,
            p.image,
        )
        for p in (one, before)
    )  # fmt: skip

    def loss(lambda_face: float, with_bank: bool) -> tuple[Tensor, dict[str, float]]:
        parts = dataclasses.replace(models, realism=tiny_realism(tiny_world) if with_bank else None)
        return loss_gradient(
            parts,
            tiny_settings(lambda_face=lambda_face, faces="all", batch_size=1),
            latents,
            seen,
            originals,
            was,
            wants([1, 0, 0], [True, False, True]),
            free=tiny_settings().space.names,
            n_faces=3,
            n_images=2,
        )

    (plain, without), (_, none), (pulled, measured) = (
        loss(0.0, False), loss(0.0, True), loss(0.5, True)
    )  # fmt: skip
    assert without == none
    assert "face" not in without
    assert measured["total"] == pytest.approx(without["total"] + 0.5 * measured["face"], rel=1e-5)
    assert 0 < measured["face"] < 2
    assert (pulled - plain).abs().max() > 0
    with pytest.raises(ConfigError, match="neither embedder nor bank"):
        loss(0.5, False)


def test_an_attribute_that_is_only_held_asks_nothing_of_the_bank(
    tiny_world: TinyWorld, alone: World
) -> None:
    gender = SPACE.subset(["gender"])
    models = dataclasses.replace(
        tiny_models(tiny_world), realism=tiny_realism(tiny_world, space=gender)
    )
    settings = tiny_settings(space=gender, lambda_face=0.5, own_face_confidence=0.6)
    noise = make_noise(models, 4)
    free, _ = run_step(models, settings, alone, noise)
    held, _ = run_step(models, settings, alone, noise, named=["age"])
    assert held.losses["face"] == free.losses["face"] > 0


def test_the_bank_is_of_the_tiny_world(realism: Realism) -> None:
    assert isinstance(realism.bank, FaceBank)
    assert len(realism.bank) == 16
