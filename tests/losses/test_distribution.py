"""The alignment loss: mask, divisor, sharding."""

from __future__ import annotations

import pytest
import torch

from fairness_core.alignment import take_rows
from fairness_core.errors import TargetError
from fairness_core.losses import alignment_loss, alignment_terms, count_faces
from fairness_core.types import Targets
from tests.helpers.close import EXACT, FLOAT32, assert_close


def make_targets() -> Targets:
    """Four faces of five rows, three of them confident at C = 0.8."""
    expected = torch.tensor([[0.9, 0.1], [0.0, 0.0], [0.4, 0.6], [0.2, 0.8], [1.0, 0.0]])
    confidence, labels = expected.max(1)
    return Targets(expected, labels, confidence, confidence >= 0.8)


LOGITS = torch.tensor([[1.0, -1.0], [3.0, 0.5], [0.2, 0.1], [2.0, 0.0], [-1.0, 1.0]])


def test_loss_by_hand():
    targets = make_targets()
    log_p = LOGITS.log_softmax(1)
    terms = [-log_p[0, 0], 0.0, 0.0, -log_p[3, 1], -log_p[4, 0]]
    assert_close(alignment_terms(LOGITS, targets), terms, FLOAT32)
    # divided by the four faces, not by the five images nor by the three confident ones
    assert count_faces(targets) == 4
    assert_close(alignment_loss(LOGITS, targets), sum(terms) / 4, FLOAT32)


def test_shards_add_up_to_the_batch():
    targets = make_targets()
    parts = [
        alignment_loss(LOGITS[rows], take_rows(targets, rows), n_total=4)
        for rows in (slice(0, 2), slice(2, 5))
    ]
    assert_close(parts[0] + parts[1], alignment_loss(LOGITS, targets), FLOAT32)


def test_gradient_reaches_active_rows_only_and_survives_nan_elsewhere():
    logits = LOGITS.clone()
    logits[1] = float("nan")
    logits.requires_grad_()
    alignment_loss(logits, make_targets()).backward()
    assert logits.grad is not None
    assert_close(logits.grad[[1, 2]], torch.zeros(2, 2), EXACT)
    p = LOGITS[3].softmax(0)
    assert_close(logits.grad[3], torch.stack([p[0], p[1] - 1]) / 4, FLOAT32)


@pytest.mark.parametrize("n", [0, 3])
def test_no_face_is_zero_and_differentiable(n: int):
    none = torch.zeros(n, dtype=torch.bool)
    targets = Targets(torch.zeros(n, 2), torch.zeros(n, dtype=torch.long), torch.zeros(n), none)
    logits = torch.ones(n, 2, requires_grad=True)
    loss = alignment_loss(logits, targets)
    loss.backward()
    assert loss == 0
    assert_close(logits.grad, torch.zeros(n, 2), EXACT)


def test_widths_must_agree():
    with pytest.raises(TargetError, match="differ in shape"):
        alignment_terms(torch.zeros(5, 3), make_targets())
