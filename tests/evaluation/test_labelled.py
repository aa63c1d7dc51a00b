"""Classifiers against labelled faces."""

import numpy as np
import pytest
import torch

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build
from fairness_core.errors import ConfigError
from fairness_core.evaluation import calibrate, classifier_report, jittered_crops, label_columns
from fairness_core.faces import crop_faces

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
N = 64


class Answers(torch.nn.Module):
    """Logits written into the crops: one pixel for each class."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, pixel_values):
        from types import SimpleNamespace

        return SimpleNamespace(logits=self.scale * pixel_values[:, 0, 0, : SPACE.width])


def told(labels, confidence):
    """Crops that say the labels with a logit margin of ``confidence``."""
    crops = torch.zeros(len(labels), 3, 32, 32)
    rows = torch.arange(len(labels))
    for i in range(len(SPACE.names)):
        crops[rows, 0, 0, 2 * i + labels[:, i]] = confidence
    return crops


@pytest.fixture
def labels():
    cells = np.array(list(np.ndindex(2, 2)))
    return torch.from_numpy(np.tile(cells, (N // 4, 1)))


def model(scale):
    made = build("resnet", SPACE, 32, torch.Generator().manual_seed(0))
    made.network = Answers(scale)
    return made


def test_report_counts_by_class_and_cell(labels):
    said = labels.clone()
    # Every old man is taken for a woman.
    wrong = (labels[:, 0] == 1) & (labels[:, 1] == 1)
    said[wrong, 0] = 0
    report = classifier_report(model(4.0), told(said, 1.0), labels)
    gender = report["gender"]
    assert (gender["accuracy"], gender["n"]) == (0.75, N)
    assert gender["groups"]["gender=male"] == {"accuracy": 0.5, "n": N // 2}
    assert gender["groups"]["male/old"] == {"accuracy": 0.0, "n": N // 4}
    assert gender["groups"]["female/old"]["accuracy"] == 1.0
    assert report["age"]["accuracy"] == 1.0
    assert sum(one["count"] for one in gender["reliability"]) == N


def test_calibration_makes_an_overconfident_classifier_honest(labels):
    said = labels.clone()
    said[::4] = 1 - said[::4]
    overconfident = model(12.0)
    crops = told(said, 1.0)
    before = classifier_report(overconfident, crops, labels)["gender"]
    calibrate(overconfident, crops, labels)
    after = classifier_report(overconfident, crops, labels)["gender"]
    assert before["accuracy"] == after["accuracy"] == 0.75
    assert before["ece_before"] == pytest.approx(before["ece_after"])
    assert before["ece_before"] > 0.2
    assert after["ece_before"] == pytest.approx(before["ece_before"])
    assert after["ece_after"] < 0.01
    # softmax(12 / T) = 0.75
    assert after["temperature"] == pytest.approx(12 / np.log(3), rel=1e-3)


def test_calibrating_twice_is_calibrating_once(labels):
    said = labels.clone()
    said[::4] = 1 - said[::4]
    made = model(6.0)
    calibrate(made, told(said, 1.0), labels)
    once = dict(made.temperatures)
    calibrate(made, told(said, 1.0), labels)
    assert made.temperatures == pytest.approx(once)


def test_columns_follow_the_space_asked_for():
    labels = np.array([[0, 3, 1], [1, 2, 0]])
    labelled = AttributeSpace.from_mapping(
        {
            "gender": {"classes": ["female", "male"]},
            "race": {"classes": ["light", "golden", "brown", "dark"]},
            "age": {"classes": ["young", "old"]},
        }
    )
    found = label_columns(labels, labelled, labelled.subset(["age", "gender"]))
    assert found.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("classes", [["male", "female"], ["female", "male", "other"]])
def test_other_classes_than_labelled_are_refused(classes):
    asked = AttributeSpace.from_mapping({"gender": {"classes": classes}})
    with pytest.raises(ConfigError, match=r"do not have attribute 'gender'.*female, male"):
        label_columns(np.zeros((2, 2), dtype=np.int64), SPACE, asked)


def test_jitter_moves_boxes_a_little_and_by_the_generator_alone(generator):
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    boxes = np.tile(np.array([8.0, 8.0, 24.0, 24.0], np.float32), (4, 1))
    crops = jittered_crops(images, boxes, size=32, generator=generator)
    again = jittered_crops(images, boxes, size=32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(crops, again)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    exact = crop_faces(pixels, torch.from_numpy(boxes), torch.ones(4, dtype=torch.bool), size=32)
    assert crops.shape == exact.shape
    gap = (crops - exact).abs().mean()
    assert 0.01 < gap < 0.5
