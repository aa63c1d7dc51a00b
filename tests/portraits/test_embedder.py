from __future__ import annotations

import numpy as np
import pytest
import torch

from fairness_core.embeddings import FaceEmbedder, onnx_twin_gap
from fairness_core.portraits import augment
from fairness_core.portraits.contrast import contrast_views
from fairness_core.portraits.embedder import (
    align_drawings,
    export_embedder,
    save_embedder,
    train_embedder,
)
from fairness_core.portraits.people import drawn_people
from tests.portraits.probes import probe_embedder


@pytest.fixture(scope="module")
def people():
    return drawn_people(48, 2, "embedder-test")


@pytest.fixture(scope="module")
def trained(people):
    losses: list[float] = []
    network = train_embedder(
        people.images,
        people.landmarks,
        people.groups,
        seed=0,
        steps=20,
        people_per_batch=16,
        width=8,
        on_step=lambda step, loss: losses.append(loss),
    )
    return network, losses


def test_a_few_steps_reduce_the_loss_and_tell_people_apart(trained):
    network, losses = trained
    mixed = losses[::2]
    assert np.mean(mixed[-3:]) < 0.7 * np.mean(mixed[:3])
    others = drawn_people(32, 2, "embedder-held-out")
    figures = probe_embedder(network, others)
    assert figures["auc"] > 0.9
    assert figures["same"] > figures["different_in_group"] > figures["different"]
    assert figures["first"] > 5 / 32


def test_saved_and_exported_weights_are_twins_of_the_trained_ones(trained, people, tmp_path):
    pytest.importorskip("insightface")
    network, _ = trained
    save_embedder(network, tmp_path / "embedder")
    export_embedder(network, tmp_path / "w112.onnx")
    faces = align_drawings(
        augment.to_unit_range(people.images[:4, 0]), torch.from_numpy(people.landmarks[:4, 0])
    )
    loaded = FaceEmbedder.load(tmp_path / "embedder")
    assert onnx_twin_gap(loaded, tmp_path / "w112.onnx", faces) < 1e-4
    with torch.no_grad():
        cosines = (loaded(faces) * network(faces)).sum(dim=1)
    # 16-bit storage.
    assert cosines.min() > 0.999
    assert (tmp_path / "embedder" / "model.safetensors").stat().st_size < 60_000
    assert b"fairness_core" not in (tmp_path / "w112.onnx").read_bytes()


def test_pictures_of_a_person_differ_and_names_fix_them(people):
    assert people.images.shape == (48, 2, 32, 32, 3)
    assert np.bincount(people.groups, minlength=16).tolist() == [3] * 16
    apart = np.abs(people.images[:, 0].astype(int) - people.images[:, 1]).mean(axis=(1, 2, 3))
    assert apart.min() > 3
    again = drawn_people(2, 2, "embedder-test")
    assert np.array_equal(again.images, people.images[:2])
    assert not np.array_equal(drawn_people(2, 2, "other").images, again.images)


def test_aligned_eyes_lie_level_at_the_reference_points():
    images = torch.full((1, 3, 32, 32), -1.0)
    landmarks = torch.tensor([[[12.0, 15], [20, 17], [15.5, 20], [12, 24], [18.5, 25.5]]])
    images[0, :, 15, 12] = 1.0
    faces = align_drawings(images, landmarks)
    y, x = divmod(int(faces[0, 0].argmax()), 112)
    assert (x, y) == pytest.approx((38, 52), abs=4)


def test_contrast_prefers_partners():
    generator = torch.Generator().manual_seed(0)
    one = torch.nn.functional.normalize(torch.randn(6, 8, generator=generator), dim=1)
    right = contrast_views(torch.cat([one, one]), 0.1)
    wrong = contrast_views(torch.cat([one, one.roll(1, dims=0)]), 0.1)
    assert right < 0.5 < wrong
    equal = contrast_views(torch.ones(4, 2), 1.0)
    assert float(equal) == pytest.approx(np.log(3))
