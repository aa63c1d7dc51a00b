"""The face term."""

from __future__ import annotations

import torch

from fairness_core.losses import face_realism
from tests.helpers.close import EXACT, FLOAT32, assert_close


def test_cosine_where_present_and_zero_elsewhere():
    embedding = torch.tensor([[2.0, 0.0], [0.0, 1.0], [float("nan"), 0.0]], requires_grad=True)
    target = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    terms = face_realism(embedding, target, torch.tensor([True, True, False]))
    assert_close(terms, [0.0, 1.0, 0.0], FLOAT32)
    terms.sum().backward()
    assert target.grad is None
    assert_close(embedding.grad[2], torch.zeros(2), EXACT)
    assert_close(embedding.grad[1], torch.tensor([-1.0, 0.0]), FLOAT32)


def test_no_face():
    none = torch.zeros(2, dtype=torch.bool)
    assert_close(face_realism(torch.ones(2, 4), torch.ones(2, 4), none), torch.zeros(2), EXACT)
