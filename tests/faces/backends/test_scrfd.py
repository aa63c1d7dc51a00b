from __future__ import annotations

import torch

from fairness_core.faces.backends.scrfd import STRIDES, decode, suppress


def outputs_for(size):
    counts = [2 * (size[0] // s) * (size[1] // s) for s in STRIDES]
    return [torch.zeros(1, n, width) for width in (1, 4, 10) for n in counts]


def test_decode_places_anchors_row_by_row_in_pairs():
    size = (32, 64)  # level of stride 16: 2 rows of 4 cells
    outputs = outputs_for(size)
    index = 2 * (1 * 4 + 3) + 1  # second anchor of row 1, column 3: at x = 48, y = 16
    outputs[1][0, index] = 0.75
    outputs[4][0, index] = torch.tensor([1.0, 0.5, 2.0, 0.25])
    outputs[7][0, index] = torch.arange(10.0)
    boxes, scores, landmarks = decode(outputs, size)
    assert boxes.shape == (1, 2 * (32 + 8 + 2), 4)
    place = 2 * 32 + index
    assert scores[0].nonzero().flatten().tolist() == [place]
    assert boxes[0, place].tolist() == [48 - 16, 16 - 8, 48 + 32, 16 + 4]
    assert landmarks[0, place, 0].tolist() == [48, 16 + 16]
    assert landmarks[0, place, 4].tolist() == [48 + 8 * 16, 16 + 9 * 16]


def test_suppression_is_greedy_and_row_by_row():
    # b covers a's right half, c covers b's: b goes because of a, and so c stays.
    a, b, c = [0, 0, 99, 99], [30, 0, 129, 99], [60, 0, 159, 99]
    boxes = torch.tensor([[a, b, c], [a, b, c], [a, a, c]], dtype=torch.float32)
    valid = torch.tensor([[True, True, True], [False, True, True], [True, True, False]])
    kept = suppress(boxes, valid, overlap=0.4)
    assert kept.tolist() == [[True, False, True], [False, True, False], [True, False, False]]


def test_overlap_at_the_limit_stays():
    # One pixel more than x1 - x0: widths 10 and 10, 5 in common, union 15.
    boxes = torch.tensor([[[0, 0, 9, 9], [5, 0, 14, 9]]], dtype=torch.float32)
    valid = torch.ones(1, 2, dtype=torch.bool)
    assert suppress(boxes, valid, overlap=1 / 3 + 1e-6).all()
    assert suppress(boxes, valid, overlap=1 / 3 - 1e-6).tolist() == [[True, False]]
