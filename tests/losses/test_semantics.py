"""The semantics term."""

from __future__ import annotations

import math

import torch

from fairness_core.losses import semantic_loss
from tests.helpers.close import FLOAT32, assert_close


def test_both_cosines_count_and_length_does_not():
    quarter = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, 0.0], [1.0, 1.0]])
    original = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    same = torch.ones(4, 3)
    terms = semantic_loss(quarter, original, same, same * 5)
    assert_close(terms, [0.0, 1.0, 2.0, 1 - math.sqrt(0.5)], FLOAT32)
    assert_close(semantic_loss(quarter, original, -same, same), terms + 2.0, FLOAT32)


def test_gradient_reaches_the_tuned_images_only():
    tuned = torch.tensor([[1.0, 2.0]], requires_grad=True)
    original = torch.tensor([[2.0, 1.0]], requires_grad=True)
    semantic_loss(tuned, original, tuned, original).sum().backward()
    assert original.grad is None
    assert tuned.grad is not None
    assert tuned.grad.abs().sum() > 0


def test_cosines_are_float32():
    half = torch.tensor([[1.0, 0.001]], dtype=torch.bfloat16)
    terms = semantic_loss(half, half.flip(1), half, half)
    assert terms.dtype == torch.float32
