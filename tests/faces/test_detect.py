from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.faces import ChainedDetector, every, largest
from fairness_core.types import Faces


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


@given(st.integers(0, 3), st.integers(0, 4), st.integers(0, 99))
def test_every_face_is_listed_and_the_largest_comes_first(n, m, seed):
    draw = torch.Generator().manual_seed(seed)
    start = torch.rand(n, m, 2, generator=draw) * 20 - 6
    boxes = torch.cat([start, start + torch.rand(n, m, 2, generator=draw) * 6], dim=2)
    scores = torch.rand(n, m, generator=draw)
    landmarks = torch.rand(n, m, 5, 2, generator=draw)
    valid = torch.rand(n, m, generator=draw) < 0.7
    faces, image = every(boxes, scores, landmarks, (10, 10), valid=valid)
    one = largest(boxes, scores, landmarks, (10, 10), valid=valid)
    assert faces.present.all()
    assert sorted(image.tolist()) == image.tolist()
    assert set(image.tolist()) == set(torch.nonzero(one.present).flatten().tolist())
    inside = (boxes[..., :2] < 10).all(-1) & (boxes[..., 2:] > 0).all(-1) & valid
    assert len(image) == int(inside.sum())
    for row in image.unique().tolist():
        first = int((image == row).nonzero()[0])
        for key in ("boxes", "scores", "landmarks"):
            assert torch.equal(getattr(faces, key)[first], getattr(one, key)[row])


class Marker:
    """Finds one face where an image's first pixel lies in a range, and two where it is high."""

    def __init__(self, low, high, score):
        self.low, self.high, self.score = low, high, score
        self.seen = []

    def detect(self, images):
        self.seen.append(len(images))
        first = images[:, 0, 0, 0]
        present = (first >= self.low) & (first < self.high)
        boxes = torch.where(present[:, None], first[:, None].expand(-1, 4), 0.0)
        points = torch.zeros(len(images), 5, 2)
        return Faces(boxes, points, present.float() * self.score, present)

    def detect_all(self, images):
        faces = self.detect(images)
        image = torch.nonzero(faces.present).flatten().repeat_interleave(2)
        return faces.take(image), image


def pictures(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 2, 2)


def test_the_second_detector_sees_what_the_first_finds_nothing_in():
    first, second = Marker(0.5, 1.0, 0.9), Marker(0.0, 1.0, 0.6)
    chained = ChainedDetector(first, second)
    faces = chained.detect(pictures(0.2, 0.7, -0.5, 0.3))
    assert second.seen == [3]
    assert faces.present.tolist() == [True, True, False, True]
    assert [round(s, 1) for s in faces.scores.tolist()] == [0.6, 0.9, 0.0, 0.6]
    assert torch.equal(faces.boxes[:, 0], torch.tensor([0.2, 0.7, 0.0, 0.3]))
    every_one, image = chained.detect_all(pictures(0.2, 0.7, -0.5, 0.3))
    assert image.tolist() == [0, 0, 1, 1, 3, 3]
    assert [round(s, 1) for s in every_one.scores.tolist()] == [0.6, 0.6, 0.9, 0.9, 0.6, 0.6]
    assert torch.equal(every_one.boxes[:, 0], torch.tensor([0.2, 0.2, 0.7, 0.7, 0.3, 0.3]))


def test_the_second_detector_rests_where_the_first_finds_all():
    first, second = Marker(0.5, 1.0, 0.9), Marker(0.0, 1.0, 0.6)
    chained = ChainedDetector(first, second)
    alone = Marker(0.5, 1.0, 0.9).detect(pictures(0.6, 0.7))
    assert torch.equal(chained.detect(pictures(0.6, 0.7)).boxes, alone.boxes)
    assert chained.detect_all(pictures(0.6, 0.7))[1].tolist() == [0, 0, 1, 1]
    assert second.seen == []
