from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairness_core.faces import area_clipped, expand_square, intersect, region_mask

coordinates = st.floats(-40, 60, width=32)


@st.composite
def boxes(draw):
    x0, x1 = sorted((draw(coordinates), draw(coordinates)))
    y0, y1 = sorted((draw(coordinates), draw(coordinates)))
    return torch.tensor([[x0, y0, x1, y1]])


def test_area_counts_only_what_is_inside():
    given_boxes = torch.tensor(
        [
            [0, 0, 4, 5],
            [-2, -3, 4, 5],
            [8, 8, 20, 30],
            [12, 1, 15, 2],
            [3, 9, 3, 10],
            [-5, -5, 50, 50],
        ]
    ).float()
    expected = torch.tensor([20.0, 20.0, 8.0, 0.0, 0.0, 120.0])
    torch.testing.assert_close(area_clipped(given_boxes, (12, 10)), expected)


def test_square_keeps_the_centre_and_takes_the_longer_side():
    square = expand_square(torch.tensor([[2.0, 4.0, 6.0, 14.0]]), 1.5)
    torch.testing.assert_close(square, torch.tensor([[-3.5, 1.5, 11.5, 16.5]]))


@given(boxes(), boxes())
def test_intersection_is_inside_both_or_empty(a, b):
    common = intersect(a, b)
    area = area_clipped(common, (1000, 1000))
    assert (common[:, 2:] >= common[:, :2]).all()
    assert area <= area_clipped(a, (1000, 1000)) + 1e-3
    torch.testing.assert_close(area, area_clipped(intersect(b, a), (1000, 1000)))
    torch.testing.assert_close(intersect(a, a), a)


def test_intersection_by_hand():
    a = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 0.0, 2.0, 2.0]])
    b = torch.tensor([[1.0, 2.0, 6.0, 3.0], [5.0, 5.0, 9.0, 9.0]])
    found = intersect(a, b)
    assert found[0].tolist() == [1, 2, 4, 3]
    assert area_clipped(found, (100, 100)).tolist() == [3, 0]


def test_mask_marks_pixel_centres_inside_both_boxes():
    a = torch.tensor([[1.0, 0.0, 4.0, 3.0]] * 3)
    b = torch.tensor([[0.0, 1.4, 3.6, 9.0], [0.0, 1.4, 3.6, 9.0], [5.0, 5.0, 6.0, 6.0]])
    mask = region_mask(a, b, torch.tensor([True, False, True]), (4, 5))
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[1:3, 1:4] = True  # y: 1.5 and 2.5 lie in 1.4..3; x: 1.5, 2.5, 3.5 lie in 1..3.6
    assert mask.shape == (3, 1, 4, 5)
    assert torch.equal(mask[0, 0], expected)
    assert not mask[1:].any()


@pytest.mark.parametrize("count", [0, 1])
def test_mask_of_the_whole_image(count):
    whole = torch.tensor([[-1.0, -1.0, 9.0, 9.0]] * count).reshape(count, 4)
    present = torch.ones(count, dtype=torch.bool)
    assert region_mask(whole, whole, present, (8, 8)).sum() == 64 * count
