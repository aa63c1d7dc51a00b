"""Dynamic weights, region factors and the scaled gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.errors import ConfigError
from fairness_core.losses import (
    dynamic_weights,
    image_weights,
    region_factors,
    region_scale,
    scale_gradient,
)
from fairness_core.types import Targets
from tests.helpers.close import EXACT, assert_close


def targets(labels: list[int], active: list[bool]) -> Targets:
    y = torch.tensor(labels)
    return Targets(torch.eye(3)[y], y, torch.ones(len(labels)), torch.tensor(active))


# rows: agrees, gender differs, race differs, both differ, gender inactive, no original face
MADE = {
    "gender": targets([0, 1, 0, 1, 1, 1], [True, True, True, True, False, True]),
    "race": targets([2, 2, 1, 1, 2, 1], [True] * 6),
}
ORIGINAL = {"gender": torch.zeros(6, dtype=torch.long), "race": torch.full((6,), 2)}
PRESENT = torch.tensor([True, True, True, True, True, False])


@pytest.mark.parametrize("function", [dynamic_weights, region_factors])
def test_smallest_factor_of_those_that_disagree(function):
    weights = function(MADE, ORIGINAL, PRESENT, {"gender": 0.2, "race": 0.6})
    assert_close(weights, torch.tensor([1.0, 0.2, 0.6, 0.2, 1.0, 1.0]), EXACT)
    weights = function(MADE, ORIGINAL, PRESENT, {"gender": 0.7, "race": 0.3, "unused": 0.0})
    assert_close(weights, torch.tensor([1.0, 0.7, 0.3, 0.3, 1.0, 1.0]), EXACT)


@pytest.mark.parametrize("function", [dynamic_weights, region_factors])
def test_a_face_below_the_threshold_may_disagree_too(function):
    weights = function(MADE, ORIGINAL, PRESENT, {"gender": 0.2, "race": 0.6}, unsure="loosened")
    assert_close(weights, torch.tensor([1.0, 0.2, 0.6, 0.2, 0.2, 1.0]), EXACT)


@given(st.data())
def test_smallest_factor_by_brute_force(data):
    """Three attributes, whatever is active, present and agreed on."""
    n, names = 4, ("gender", "race", "age")
    bits = st.lists(st.booleans(), min_size=n, max_size=n)
    present = data.draw(bits)
    factors = {name: data.draw(st.sampled_from([0.0, 0.2, 0.3, 0.6, 1.0])) for name in names}
    active = {name: data.draw(bits) for name in names}
    differs = {name: data.draw(bits) for name in names}
    made = {name: targets([int(x) for x in differs[name]], active[name]) for name in names}
    zero = {name: torch.zeros(n, dtype=torch.long) for name in names}
    unsure = data.draw(st.sampled_from(["held", "loosened"]))

    def disagrees(a, i):
        return differs[a][i] if active[a][i] else unsure == "loosened"

    expected = [
        min([factors[a] for a in names if present[i] and disagrees(a, i)] + [1.0]) for i in range(n)
    ]
    for function in (dynamic_weights, region_factors):
        found = function(made, zero, torch.tensor(present), factors, unsure=unsure)
        assert_close(found, torch.tensor(expected), EXACT)


def test_an_image_is_loosened_by_any_of_its_faces():
    weights = image_weights(torch.tensor([0.6, 0.2, 1.0, 0.3]), torch.tensor([0, 0, 2, 3]), 4)
    assert_close(weights, torch.tensor([0.2, 1.0, 1.0, 0.3]), EXACT)
    nobody = torch.zeros(0, dtype=torch.long)
    assert_close(image_weights(torch.zeros(0), nobody, 2), torch.ones(2), EXACT)


def test_region_of_several_faces_is_their_union():
    mask = torch.zeros(3, 1, 2, 3, dtype=torch.bool)
    mask[0, 0, :, :2], mask[1, 0, 0, 1:], mask[2, 0, 1, 0] = True, True, True
    scale = region_scale(mask, torch.tensor([0.5, 0.25, 0.1]), torch.tensor([0, 0, 2]), 3)
    expected = torch.ones(3, 1, 2, 3)
    expected[0, 0] = torch.tensor([[0.5, 0.25, 0.25], [0.5, 0.5, 1.0]])
    expected[2, 0, 1, 0] = 0.1
    assert_close(scale, expected, EXACT)
    nobody = region_scale(mask[:0], torch.zeros(0), torch.zeros(0, dtype=torch.long), 2)
    assert_close(nobody, torch.ones(2, 1, 2, 3), EXACT)


def test_every_attribute_needs_a_factor_and_a_class():
    with pytest.raises(ConfigError, match="no factor1 for race"):
        dynamic_weights(MADE, ORIGINAL, PRESENT, {"gender": 0.2})
    with pytest.raises(ConfigError, match="no factor2 for gender, race"):
        region_factors(MADE, ORIGINAL, PRESENT, {})
    with pytest.raises(ConfigError, match="no class of the originals for race"):
        dynamic_weights(MADE, {"gender": ORIGINAL["gender"]}, PRESENT, {"gender": 1, "race": 1})
    with pytest.raises(ConfigError, match=r"factor2 of 'race' is outside \[0, 1\]"):
        region_factors(MADE, ORIGINAL, PRESENT, {"gender": 0.2, "race": 1.5})


def test_gradient_is_scaled_inside_the_mask_only(generator: torch.Generator):
    images = torch.randn(2, 3, 4, 4, generator=generator).requires_grad_()
    mask = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    mask[:, :, 1:3, :2] = True
    scale = region_scale(mask, torch.tensor([0.25, 1.0]), torch.arange(2), 2)
    scaled = scale_gradient(images, scale)
    assert torch.equal(scaled, images)
    upstream = torch.randn(2, 3, 4, 4, generator=generator)
    scaled.backward(upstream)
    expected = upstream.clone()
    expected[0, :, 1:3, :2] *= 0.25
    assert_close(images.grad, expected, EXACT)


def test_other_losses_keep_their_gradient():
    images = torch.ones(1, 3, 2, 2, requires_grad=True)
    (scale_gradient(images, torch.zeros(1, 1, 2, 2)).sum() + 2 * images.sum()).backward()
    assert_close(images.grad, torch.full((1, 3, 2, 2), 2.0), EXACT)
