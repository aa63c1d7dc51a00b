"""The face term."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.errors import ConfigError
from fairness_core.losses import face_realism, own_faces
from fairness_core.types import Targets
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


def asked(labels: list[int], active: list[bool], classes: int = 2) -> Targets:
    y = torch.tensor(labels)
    return Targets(torch.eye(classes)[y], y, torch.ones(len(labels)), torch.tensor(active))


def test_own_face_where_the_target_class_is_the_originals_and_sure():
    """Rows: sure, of another class, unsure, exactly as sure as needed, no original, not asked."""
    targets = {"gender": asked([1, 0, 1, 1, 1, 1], [True] * 5 + [False])}
    male = torch.tensor([0.95, 0.95, 0.8, 0.9, 0.95, 0.95])
    present = torch.tensor([True, True, True, True, False, True])
    probabilities = {"gender": torch.stack([1 - male, male], dim=1)}
    own = own_faces(targets, probabilities, present, confidence=0.9)
    assert own.tolist() == [True, False, False, True, False, False]


@given(st.data())
def test_every_active_attribute_has_to_agree(data):
    n = 3
    bits = st.lists(st.booleans(), min_size=n, max_size=n)
    sizes = {"gender": 2, "race": 4}
    present = data.draw(bits)
    active = {name: data.draw(bits) for name in sizes}
    agrees = {name: data.draw(bits) for name in sizes}
    sure = {name: data.draw(bits) for name in sizes}
    probabilities = {}
    for name, size in sizes.items():
        classes = [0 if yes else 1 for yes in agrees[name]]
        high = torch.tensor([0.9 if yes else 0.6 for yes in sure[name]])[:, None]
        one = torch.eye(size)[torch.tensor(classes)]
        probabilities[name] = one * high + (1 - one) * (1 - high) / (size - 1)
    targets = {name: asked([0] * n, active[name], size) for name, size in sizes.items()}
    expected = [
        present[i]
        and any(active[name][i] for name in sizes)
        and all(not active[name][i] or (agrees[name][i] and sure[name][i]) for name in sizes)
        for i in range(n)
    ]
    own = own_faces(targets, probabilities, torch.tensor(present), confidence=0.8)
    assert own.tolist() == expected


def test_a_confidence_is_a_probability():
    with pytest.raises(ConfigError, match=r"own face is outside \[0, 1\]"):
        own_faces({}, {}, torch.ones(2, dtype=torch.bool), confidence=1.5)
