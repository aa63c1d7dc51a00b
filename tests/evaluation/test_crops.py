"""Crops of pictures on disk are those of pictures in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build, fit
from fairness_core.datasets import FaceDataset, Provenance
from fairness_core.errors import ConfigError
from fairness_core.evaluation import DatasetCrops, jittered_crops, joined_labels

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
BOXES = np.array([[30, 40, 80, 100], [-20, -10, 50, 60], [90, 70, 140, 130], [0, 0, 150, 120]])


@pytest.fixture
def faces(tmp_path):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (4, 120, 150, 3)).astype(np.uint8)
    for i, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    dataset = FaceDataset(
        key="test",
        root=tmp_path,
        files=tuple(f"{i}.png" for i in range(4)),
        attributes=("age",),
        labels=np.array([[0], [1], [1], [0]]),
        boxes=BOXES.astype(np.float32),
        shares=False,
        about=Provenance("test", "", ""),
    )
    return images, dataset


@pytest.mark.parametrize("size", [16, 40, 224])
def test_only_the_pixels_needed_are_used_and_they_suffice(faces, size):
    images, dataset = faces
    source = [torch.Generator().manual_seed(1) for _ in range(2)]
    expected = jittered_crops(images, dataset.boxes, size=size, generator=source[0])
    crops = DatasetCrops([dataset], size=size, generator=source[1], threads=2)
    assert len(crops) == 4
    torch.testing.assert_close(crops[torch.arange(4)], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(crops[torch.tensor([3, 1])], crops[torch.arange(4)][[3, 1]])


def test_a_fit_decodes_on_the_way_what_it_would_have_had_in_memory(faces):
    _, dataset = faces
    other = dataset.take(np.array([2, 0]))
    crops = DatasetCrops([dataset, other], size=32, generator=torch.Generator().manual_seed(1))
    labels, known = joined_labels([dataset, other], SPACE)
    assert labels[:, 1].tolist() == [0, 1, 1, 0, 1, 0]
    assert known.all(dim=0).tolist() == [False, True]
    weights = []
    for images in (crops, crops[torch.arange(6)]):
        generator = torch.Generator().manual_seed(2)
        model = build("mobilenet", SPACE.subset(["age"]), 32, generator)
        options = {"epochs": 2, "batch_size": 2, "lr": 1e-3, "generator": generator}
        fit(model, images, labels[:, 1:], **options)
        weights.append(model.network.classifier.weight)
    assert torch.equal(*weights)


def test_labels_that_are_missing_do_not_train(generator):
    images = torch.rand(8, 3, 32, 32, generator=generator) * 2 - 1
    known = torch.ones(8, 2, dtype=torch.bool)
    known[4:, 0] = False
    weights = []
    for wrong in (0, 1):
        labels = torch.tensor([[0, 1]] * 8)
        labels[4:, 0] = wrong
        source = torch.Generator().manual_seed(2)
        model = build("mobilenet", SPACE, 32, source)
        history = fit(
            model, images, labels, known=known, epochs=2, batch_size=4, lr=1e-3, generator=source
        )
        weights.append(model.network.classifier.weight)
    assert torch.equal(*weights)
    assert set(history.epochs[0].accuracy) == {"gender", "age"}
    known[:, 0] = False
    with pytest.raises(ConfigError, match=r"no labelled image to learn from.*'gender': 0"):
        fit(model, images, labels, known=known, epochs=1, batch_size=4, lr=1, generator=generator)
