from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairness_core.faces import crop_faces

YES = torch.ones(1, dtype=torch.bool)


def smooth(count, size, generator):
    """Random images without detail finer than a few px."""
    coarse = torch.rand(count, 3, size // 8, size // 8, generator=generator) * 1.8 - 0.9
    return functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(-1, 1)


def whole(height, width, count=1):
    return torch.tensor([[0.0, 0.0, width, height]] * count)


def test_a_box_around_the_image_reproduces_it(generator):
    images = torch.rand(3, 3, 32, 32, generator=generator) * 2 - 1
    crops = crop_faces(
        images, whole(32, 32, 3), torch.ones(3, dtype=torch.bool), size=32, enlarge=1
    )
    torch.testing.assert_close(crops, images, atol=1e-6, rtol=0)


def test_whole_pixels_are_cut_out_exactly(generator):
    images = torch.rand(1, 3, 20, 30, generator=generator) * 2 - 1
    crops = crop_faces(images, torch.tensor([[11.0, 4.0, 19.0, 12.0]]), YES, size=8, enlarge=1)
    torch.testing.assert_close(crops, images[:, :, 4:12, 11:19], atol=1e-6, rtol=0)


def test_magnifying_is_bilinear(generator):
    images = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    crops = crop_faces(images, whole(16, 16), YES, size=64, enlarge=1)
    expected = functional.interpolate(images, size=(64, 64), mode="bilinear")
    inner = slice(4, -4)  # at the border the padding mixes in
    torch.testing.assert_close(
        crops[..., inner, inner], expected[..., inner, inner], atol=1e-5, rtol=0
    )


def test_shrinking_is_antialiased(generator):
    images = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    crops = crop_faces(images, whole(64, 64), YES, size=16, enlarge=1)
    expected = functional.interpolate(images, size=(16, 16), mode="bilinear", antialias=True)
    inner = slice(2, -2)
    torch.testing.assert_close(
        crops[..., inner, inner], expected[..., inner, inner], atol=1e-5, rtol=0
    )


def test_a_fine_pattern_becomes_grey_not_moire():
    stripes = (torch.arange(64) % 2 * 2.0 - 1).expand(1, 3, 64, 64)
    crops = crop_faces(stripes, whole(64, 64), YES, size=10, enlarge=1)
    assert crops[..., 2:-2, 2:-2].abs().max() < 0.12


def test_outside_the_image_is_minus_one(generator):
    images = torch.rand(1, 3, 16, 16, generator=generator)
    crops = crop_faces(images, torch.tensor([[-8.0, -8.0, 8.0, 8.0]]), YES, size=16, enlarge=1)
    torch.testing.assert_close(crops[..., 8:, 8:], images[..., :8, :8], atol=1e-6, rtol=0)
    assert (crops[..., :8, :] == -1).all()
    assert (crops[..., :, :8] == -1).all()


def test_the_square_takes_the_longer_side_and_the_factor(generator):
    images = smooth(1, 64, generator)
    oblong = crop_faces(images, torch.tensor([[28.0, 24.0, 36.0, 40.0]]), YES, size=24, enlarge=1.5)
    square = crop_faces(images, torch.tensor([[20.0, 20.0, 44.0, 44.0]]), YES, size=24, enlarge=1)
    torch.testing.assert_close(oblong, square, atol=1e-5, rtol=0)


def test_rows_have_their_own_boxes_and_scales(generator):
    images = torch.rand(3, 3, 24, 40, generator=generator) * 2 - 1
    boxes = torch.tensor([[3.0, 4.0, 9.0, 12.0], [-5.0, 2.0, 30.0, 44.0], [10.5, 6.2, 11.5, 7.2]])
    present = torch.ones(3, dtype=torch.bool)
    together = crop_faces(images, boxes, present, size=12)
    for i in range(3):
        alone = crop_faces(images[i : i + 1], boxes[i : i + 1], YES, size=12)
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


def test_absent_faces_are_minus_one_and_pass_no_gradient(generator):
    images = (torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1).requires_grad_()
    boxes = torch.tensor([[0.0, 0.0, 0.0, 0.0], [4.0, 4.0, 12.0, 12.0]])
    crops = crop_faces(images, boxes, torch.tensor([False, True]), size=8)
    assert (crops[0] == -1).all()
    (gradient,) = torch.autograd.grad(crops.sum(), images)
    assert gradient.isfinite().all()
    assert (gradient[0] == 0).all()
    assert (gradient[1] != 0).any()


@pytest.mark.parametrize("size", [3, 9])
def test_gradient(size, generator):
    images = torch.rand(2, 3, 6, 7, generator=generator, dtype=torch.double, requires_grad=True)
    boxes = torch.tensor([[1.2, -0.7, 4.9, 3.1], [2.0, 1.0, 9.0, 6.5]])
    present = torch.ones(2, dtype=torch.bool)
    assert torch.autograd.gradcheck(
        lambda x: crop_faces(x, boxes, present, size=size, enlarge=1.2), images
    )


def test_no_faces_at_all():
    none = torch.zeros(0, dtype=torch.bool)
    assert crop_faces(torch.zeros(0, 3, 8, 8), torch.zeros(0, 4), none, size=4).shape == (
        0,
        3,
        4,
        4,
    )
