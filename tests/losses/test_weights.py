"""Dynamic weights, region factors and the scaled gradient."""

from __future__ import annotations

import pytest
import torch

from fairness_core.errors import ConfigError
from fairness_core.losses import dynamic_weights, region_factors, scale_gradient
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
    scaled = scale_gradient(images, mask, torch.tensor([0.25, 1.0]))
    assert torch.equal(scaled, images)
    upstream = torch.randn(2, 3, 4, 4, generator=generator)
    scaled.backward(upstream)
    expected = upstream.clone()
    expected[0, :, 1:3, :2] *= 0.25
    assert_close(images.grad, expected, EXACT)


def test_other_losses_keep_their_gradient():
    images = torch.ones(1, 3, 2, 2, requires_grad=True)
    mask = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    (scale_gradient(images, mask, torch.zeros(1)).sum() + 2 * images.sum()).backward()
    assert_close(images.grad, torch.full((1, 3, 2, 2), 2.0), EXACT)
