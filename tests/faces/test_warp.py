from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from fairness_core.faces import REFERENCE_POINTS, align_five_points, similarity

REFERENCE = torch.tensor(REFERENCE_POINTS)
YES = torch.ones(1, dtype=torch.bool)


def turned(points, degrees, scale, shift):
    c, s = math.cos(math.radians(degrees)) * scale, math.sin(math.radians(degrees)) * scale
    return points @ torch.tensor([[c, s], [-s, c]]) + torch.tensor(shift)


def apply(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize("degrees", [0, 37, 180, -95])
def test_a_similarity_is_recovered_exactly(degrees, generator):
    source = torch.randn(5, 2, generator=generator) * 10
    target = turned(source, degrees, 1.7, [3.0, -8.0])
    torch.testing.assert_close(
        apply(similarity(source[None], target)[0], source), target, atol=1e-4, rtol=1e-5
    )


def test_the_fit_is_a_least_squares_minimum_without_reflection(generator):
    source = torch.randn(5, 2, generator=generator, dtype=torch.double)
    target = torch.randn(5, 2, generator=generator, dtype=torch.double)
    matrix = similarity(source[None], target)[0]
    assert torch.linalg.det(matrix[:, :2]) > 0

    def error(a, b, x, y):
        change = torch.tensor([[a, -b, x], [b, a, y]], dtype=torch.double)
        return ((apply(matrix + change, source) - target) ** 2).sum()

    best = error(0, 0, 0, 0)
    for i in range(4):
        for step in (-1e-3, 1e-3):
            assert error(*[step * (i == j) for j in range(4)]) > best


def test_mirrored_points_are_turned_not_mirrored():
    mirrored = REFERENCE * torch.tensor([-1.0, 1.0])
    matrix = similarity(mirrored[None], REFERENCE)[0]
    assert torch.linalg.det(matrix[:, :2]) > 0


def test_landmarks_on_the_reference_leave_a_face_as_it_is(generator):
    images = torch.rand(1, 3, 112, 112, generator=generator) * 2 - 1
    aligned = align_five_points(images, REFERENCE[None], YES)
    torch.testing.assert_close(aligned, images, atol=1e-4, rtol=0)


def test_the_reference_scales_with_the_size(generator):
    images = torch.rand(1, 3, 56, 56, generator=generator) * 2 - 1
    aligned = align_five_points(images, REFERENCE[None] / 2, YES, size=56)
    torch.testing.assert_close(aligned, images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("degrees", [0, 25, -70])
def test_equals_what_insightface_cuts(degrees, generator):
    face_align = pytest.importorskip("insightface.utils.face_align")
    coarse = torch.rand(1, 3, 9, 9, generator=generator) * 2 - 1
    images = functional.interpolate(coarse, size=(64, 72), mode="bicubic").clamp(-1, 1)
    pixels = ((images[0] + 1) * 127.5).round().to(torch.uint8)
    landmarks = turned(REFERENCE - 56, degrees, 0.4, [36.0, 30.0])
    landmarks += torch.randn(5, 2, generator=generator)
    with pytest.warns(FutureWarning, match="estimate"):
        matrix = face_align.estimate_norm(landmarks.numpy())
    torch.testing.assert_close(
        similarity(landmarks[None], REFERENCE)[0],
        torch.from_numpy(matrix).float(),
        atol=1e-3,
        rtol=1e-4,
    )
    with pytest.warns(FutureWarning, match="estimate"):
        theirs = face_align.norm_crop(pixels.permute(1, 2, 0).numpy(), landmarks.numpy())
    ours = align_five_points(pixels[None] / 127.5 - 1, landmarks[None], YES)[0]
    difference = np.abs((ours.permute(1, 2, 0).numpy() + 1) * 127.5 - theirs)
    # OpenCV rounds places to 1/32 px and values to 1/255; the black outside makes steep edges.
    assert np.quantile(difference, 0.99) < 3
    assert difference.max() < 12


def test_rows_are_independent_and_absent_ones_are_minus_one(generator):
    images = torch.rand(3, 3, 32, 32, generator=generator) * 2 - 1
    landmarks = torch.stack([REFERENCE * 0.3, torch.zeros(5, 2), REFERENCE * 0.2 + 5])
    present = torch.tensor([True, False, True])
    together = align_five_points(images, landmarks, present, size=40)
    assert (together[1] == -1).all()
    for i in (0, 2):
        alone = align_five_points(images[i : i + 1], landmarks[i : i + 1], YES, size=40)
        torch.testing.assert_close(together[i : i + 1], alone)


def test_collapsed_landmarks_are_shifted_only(generator):
    images = torch.rand(1, 3, 16, 16, generator=generator)
    aligned = align_five_points(images, torch.full((1, 5, 2), 7.0), YES)
    assert aligned.isfinite().all()
    matrix = similarity(torch.full((1, 5, 2), 7.0), REFERENCE)
    torch.testing.assert_close(matrix[0, :, :2], torch.eye(2))


def test_gradient(generator):
    images = torch.rand(2, 3, 6, 7, generator=generator, dtype=torch.double, requires_grad=True)
    landmarks = torch.stack([turned(REFERENCE * 0.05, 20, 1.0, [0.3, 0.2]), REFERENCE * 0.06])
    present = torch.ones(2, dtype=torch.bool)
    assert torch.autograd.gradcheck(
        lambda x: align_five_points(x, landmarks, present, size=5), images
    )
