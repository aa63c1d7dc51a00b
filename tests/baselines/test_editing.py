"""The closed form of UCE, its search for weights, and what it leaves alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fairness_core.attributes import AttributeSpace
from fairness_core.baselines import (
    UCE_NOISE,
    Balance,
    balance,
    class_shares,
    class_targets,
    edit_matrix,
    edited_weights,
    load_edit,
    projections,
)
from fairness_core.classifiers import build
from fairness_core.errors import ConfigError, ModelError
from fairness_core.evaluation import Sampling
from fairness_core.types import Faces

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"], "target": [0.5, 0.5]}}
)
SETTINGS = Balance(iterations=6, step=1.0, tolerance=0.05, regularisation=0.1)


def draw(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("preserved", [0, 3])
def test_the_closed_form_is_the_least_squares_solution(preserved):
    w0, c, t, kept = draw(0, 7, 5), draw(1, 4, 5), draw(2, 4, 5), draw(3, preserved, 5)
    strength = 0.3
    edited = w0 @ edit_matrix(c, t, kept, regularisation=strength)
    # The same three terms, stacked as one ordinary least-squares problem X W^T = Y.
    root = math.sqrt(strength)
    x = torch.cat([c, kept, root * torch.eye(5).double()]).numpy()
    y = torch.cat([t @ w0.T, kept @ w0.T, root * w0.T]).numpy()
    expected = np.linalg.lstsq(x, y, rcond=None)[0].T
    assert np.allclose(edited.numpy(), expected, atol=1e-9)


def test_concepts_reach_their_targets_and_what_is_preserved_stays():
    w0, c, t, kept = draw(0, 7, 8), draw(1, 2, 8), draw(2, 2, 8), draw(3, 3, 8)
    edited = w0 @ edit_matrix(c, t, kept, regularisation=1e-6)
    assert torch.allclose(edited @ c.T, w0 @ t.T, atol=1e-3)
    assert torch.allclose(edited @ kept.T, w0 @ kept.T, atol=1e-3)
    assert not torch.allclose(edited, w0, atol=0.1)
    same = edit_matrix(c, c, kept, regularisation=0.5)
    assert torch.allclose(same, torch.eye(8).double(), atol=1e-9)


def test_the_regularisation_is_positive():
    with pytest.raises(ConfigError, match="regularisation greater than 0"):
        edit_matrix(draw(1, 2, 3), draw(2, 2, 3), draw(3, 1, 3), regularisation=0.0)


def test_only_keys_and_values_of_cross_attention_change_and_load_from_a_file(stack, tmp_path):
    before = {name: value.clone() for name, value in stack.unet.state_dict().items()}
    state = edited_weights(projections(stack), 2 * torch.eye(16).double())
    save_file(state, tmp_path / "edit.safetensors")
    load_edit(stack, load_file(tmp_path / "edit.safetensors"))
    changed = {n for n, v in stack.unet.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == set(state)
    assert changed == {n for n in before if "attn2.to_k" in n or "attn2.to_v" in n}
    name = sorted(state)[0]
    assert torch.allclose(stack.unet.state_dict()[name], 2 * before[name])
    # Stock diffusers reads the same file.
    found = stack.unet.load_state_dict(load_file(tmp_path / "edit.safetensors"), strict=False)
    assert found.unexpected_keys == []


def test_weights_of_another_model_are_refused(stack):
    name = sorted(projections(stack))[0]
    with pytest.raises(ModelError, match="differ in 1 of 1 weights"):
        load_edit(stack, {name: torch.zeros(2, 2)})
    with pytest.raises(ModelError, match="differ in 0 of 0 weights"):
        load_edit(stack, {})


def test_weights_are_found_by_measuring(stack):
    """A made-up world: the share of men follows the edited value of the concept linearly."""
    concepts, classes = draw(1, 2, 16).float(), draw(2, 2, 16).float()
    original = projections(stack)
    name = sorted(original)[0]
    base = original[name]
    direction = base @ (classes[1] - classes[0])
    start = torch.tensor([0.9, 0.2])

    def measure(_):
        moved = stack.unet.state_dict()[name] @ concepts.T - base @ concepts.T
        male = start + 0.5 * direction @ moved / direction.square().sum()
        return torch.stack([1 - male, male], dim=1)

    found = balance(stack, concepts, classes, draw(3, 0, 16).float(), SPACE, measure, SETTINGS)
    assert found.gaps[0] == pytest.approx(0.35, abs=1e-6)
    assert found.gaps[-1] < 0.05
    assert len(found.gaps) < SETTINGS.iterations
    # The first concept is too often male: away from the second class, towards the first.
    assert found.weights[0, 1] < 0 < found.weights[0, 0]
    assert found.weights[1, 0] < 0 < found.weights[1, 1]
    assert torch.equal(found.state[name], stack.unet.state_dict()[name])


def test_a_concept_within_tolerance_or_without_a_face_is_left_alone(stack):
    concepts, classes = draw(1, 3, 16).float(), draw(2, 2, 16).float()
    shares = torch.tensor([[0.52, 0.48], [torch.nan, torch.nan], [0.1, 0.9]])
    settings = Balance(iterations=2, step=0.5, tolerance=0.05, regularisation=0.1)
    found = balance(
        stack, concepts, classes, draw(3, 1, 16).float(), SPACE, lambda _: shares, settings
    )
    assert torch.equal(found.weights[:2], torch.zeros(2, 2))
    assert torch.allclose(found.weights[2], torch.tensor([0.4, -0.4]))


def test_a_concept_may_have_a_target_of_its_own(stack):
    concepts, classes = draw(1, 2, 16).float(), draw(2, 2, 16).float()
    shares = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    settings = Balance(iterations=1, step=0.5, tolerance=0.05, regularisation=0.1)
    own = SPACE.with_targets({"gender": (0.3, 0.7)})
    found = balance(
        stack, concepts, classes, draw(3, 1, 16).float(), SPACE, lambda _: shares, settings,
        targets=torch.stack([class_targets(SPACE), class_targets(own)]),
    )  # fmt: skip
    assert torch.equal(found.weights[0], torch.zeros(2))
    assert torch.allclose(found.weights[1], torch.tensor([-0.1, 0.1]))


def test_settings_are_in_range():
    with pytest.raises(ConfigError, match="an iteration, a step above 0"):
        Balance(iterations=0, step=1.0, tolerance=0.1, regularisation=1.0)


def test_shares_are_of_the_faces_found(stack):
    class AllButOne:
        def detect(self, images):
            n = len(images)
            present = torch.arange(n) != n - 1
            return Faces(
                boxes=torch.tensor([[4.0, 4.0, 20.0, 20.0]]).expand(n, 4) * present[:, None],
                landmarks=torch.zeros(n, 5, 2),
                scores=present.float(),
                present=present,
            )

        def detect_all(self, images):
            raise AssertionError("a concept's image is judged by its largest face")

    classifier = build("resnet", SPACE, 32, torch.Generator().manual_seed(0)).eval()
    classifier.network.classifier[-1].bias.data = torch.tensor([-100.0, 100.0])
    found = class_shares(
        stack,
        ["a nurse", "a judge"],
        AllButOne(),
        classifier,
        SPACE,
        Sampling(UCE_NOISE, seed=0, guidance=1.0, steps=1, batch_size=2),
        images=1,
        turn=0,
    )
    assert torch.equal(found[0], torch.tensor([0.0, 1.0]))
    assert found[1].isnan().all()
