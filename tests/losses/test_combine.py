"""The total and its parts."""

from __future__ import annotations

import pytest
import torch

from fairness_core.errors import ConfigError
from fairness_core.losses import total
from tests.helpers.close import FLOAT32, assert_close

ALIGN = {"gender": torch.tensor([1.0, 0.0, 2.0]), "race": torch.tensor([0.0, 0.0, 3.0])}
IMAGE = torch.tensor([0.5, 1.0, 0.25])
WEIGHTS = torch.tensor([1.0, 0.2, 0.6])
FACE = torch.tensor([0.4, 0.0, 0.2])


def test_total_by_hand():
    parts = total(
        ALIGN, IMAGE, WEIGHTS, FACE, lambda_image=8.0, lambda_face=0.1, n_faces=2, n_images=3
    )
    assert_close(parts.per_attribute["gender"], 1.5, FLOAT32)
    assert_close(parts.per_attribute["race"], 1.5, FLOAT32)
    assert_close(parts.align, 3.0, FLOAT32)
    assert_close(parts.image, (0.5 + 0.2 + 0.15) / 3, FLOAT32)
    assert_close(parts.face, 0.3, FLOAT32)
    assert_close(parts.total, 3.0 + 8 * 0.85 / 3 + 0.1 * 0.3, FLOAT32)


def test_shards_add_up_to_the_batch():
    def of(rows: slice) -> torch.Tensor:
        return total(
            {name: terms[rows] for name, terms in ALIGN.items()},
            IMAGE[rows],
            WEIGHTS[rows],
            FACE[rows],
            lambda_image=8.0,
            lambda_face=1.0,
            n_faces=2,
            n_images=3,
        ).total

    assert_close(of(slice(0, 1)) + of(slice(1, 3)), of(slice(0, 3)), FLOAT32)


def test_no_face_leaves_the_semantics():
    zero = {"gender": torch.zeros(3)}
    parts = total(zero, IMAGE, torch.ones(3), lambda_image=2.0, n_faces=0, n_images=3)
    assert_close(parts.total, 2 * 1.75 / 3, FLOAT32)
    assert_close(parts.face, 0.0, FLOAT32)


def test_an_image_may_have_several_faces():
    terms = {"gender": torch.tensor([1.0, 2.0, 3.0, 4.0])}
    faces = torch.tensor([0.5, 0.5, 1.0, 1.0])
    parts = total(
        terms, IMAGE, WEIGHTS, faces, lambda_image=0.0, lambda_face=2.0, n_faces=4, n_images=3
    )
    assert_close(parts.total, 2.5 + 2 * 0.75, FLOAT32)


def test_bad_input_is_refused():
    good = {"lambda_image": 1.0, "n_faces": 2, "n_images": 3}
    with pytest.raises(ConfigError, match="no attribute to align"):
        total({}, IMAGE, WEIGHTS, **good)
    with pytest.raises(ConfigError, match="loss weight is negative"):
        total(ALIGN, IMAGE, WEIGHTS, **{**good, "lambda_image": -1.0})
    with pytest.raises(ConfigError, match="fewer than none"):
        total(ALIGN, IMAGE, WEIGHTS, **{**good, "n_faces": -1})
    with pytest.raises(ConfigError, match="needs an image"):
        total(ALIGN, IMAGE, WEIGHTS, **{**good, "n_faces": 0, "n_images": 0})
    with pytest.raises(ConfigError, match="weight but no terms"):
        total(ALIGN, IMAGE, WEIGHTS, lambda_face=1.0, **good)
