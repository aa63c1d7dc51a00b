from __future__ import annotations

import torch

from fairness_core.faces import largest


def candidates(rows):
    boxes = torch.tensor(rows, dtype=torch.float32)
    n, m = boxes.shape[:2]
    scores = torch.linspace(0.9, 0.5, n * m).view(n, m)
    landmarks = torch.arange(n * m * 10, dtype=torch.float32).view(n, m, 5, 2)
    return boxes, scores, landmarks


def test_the_largest_area_inside_the_image_wins():
    boxes, scores, landmarks = candidates(
        [
            [[0, 0, 4, 4], [2, 2, 8, 8], [0, 0, 0, 0]],
            [[-90, -90, 2, 2], [0, 0, 3, 3], [1, 1, 2, 2]],
        ]
    )
    faces = largest(boxes, scores, landmarks, (10, 10), valid=torch.ones(2, 3, dtype=torch.bool))
    assert faces.present.all()
    assert torch.equal(faces.boxes, torch.stack([boxes[0, 1], boxes[1, 1]]))
    assert torch.equal(faces.scores, torch.stack([scores[0, 1], scores[1, 1]]))
    assert torch.equal(faces.landmarks, torch.stack([landmarks[0, 1], landmarks[1, 1]]))


def test_equal_areas_go_to_the_first():
    boxes, scores, landmarks = candidates([[[0, 0, 2, 2], [4, 4, 6, 6]]])
    faces = largest(boxes, scores, landmarks, (8, 8), valid=torch.ones(1, 2, dtype=torch.bool))
    assert faces.boxes[0].tolist() == [0, 0, 2, 2]


def test_absent_rows_are_zero():
    boxes, scores, landmarks = candidates(
        [[[0, 0, 4, 4], [2, 2, 8, 8]], [[20, 0, 30, 4], [0, 0, 5, 5]], [[0, 0, 1, 1], [0, 0, 1, 2]]]
    )
    valid = torch.tensor([[False, False], [True, False], [False, True]])
    faces = largest(boxes, scores, landmarks, (10, 10), valid=valid)
    assert faces.present.tolist() == [False, False, True]
    for values in (faces.boxes, faces.scores, faces.landmarks):
        assert (values[:2] == 0).all()
    assert faces.boxes[2].tolist() == [0, 0, 1, 2]


def test_no_candidate_at_all():
    faces = largest(
        torch.zeros(3, 0, 4),
        torch.zeros(3, 0),
        torch.zeros(3, 0, 5, 2),
        (8, 8),
        valid=torch.zeros(3, 0, dtype=torch.bool),
    )
    assert faces.present.tolist() == [False] * 3
    assert faces.landmarks.shape == (3, 5, 2)
