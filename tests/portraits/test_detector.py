from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from fairness_core.portraits import augment
from fairness_core.portraits.dataset import captioned_portraits
from fairness_core.portraits.detector import DetectorNetwork, export_detector, train_detector
from fairness_core.portraits.detector_loss import STRIDES, anchors_for, assign, overlap
from tests.portraits.probes import best_faces, probe_detector

# Two runtimes, one sum each in another order.
SAME = 1e-5


@pytest.fixture(scope="module")
def drawings():
    return captioned_portraits(96, "detector-test", scenes=0.25)


@pytest.fixture(scope="module")
def trained(drawings):
    """A detector that has learned a little, and its losses."""
    losses: list[float] = []
    network = train_detector(
        drawings.images,
        drawings.boxes,
        drawings.landmarks,
        drawings.present,
        seed=1,
        steps=80,
        batch_size=12,
        width=8,
        on_step=lambda step, loss: losses.append(loss),
    )
    return network, losses


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("pack") / "det.onnx"
    export_detector(trained[0], path)
    return path


def test_a_few_steps_reduce_the_loss_and_find_faces(trained, drawings):
    network, losses = trained
    assert len(losses) == 80
    assert np.mean(losses[-12:]) < 0.7 * np.mean(losses[:12])
    _, boxes, _ = best_faces(network, drawings.images, size=64)
    mask = torch.from_numpy(drawings.present)
    iou, _ = overlap(boxes[mask], torch.from_numpy(drawings.boxes)[mask])
    assert iou.mean() > 0.4


def test_training_depends_on_the_seed_alone(drawings):
    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(torch.seed() % 1000)
        network = train_detector(
            drawings.images,
            drawings.boxes,
            drawings.landmarks,
            drawings.present,
            seed=seed,
            steps=2,
            batch_size=4,
            width=4,
        )
        return torch.cat([p.detach().flatten() for p in network.parameters()])

    first = run(3)
    assert torch.equal(first, run(3))
    assert not torch.equal(first, run(4))


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 32, 96)])
def test_onnx_equals_torch_at_any_size_and_batch(trained, exported, shape):
    n, height, width = shape
    images = torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"input.1": images.numpy()})
    with torch.no_grad():
        ours = trained[0](images)
    assert len(theirs) == len(ours) == 9
    for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        cells = (height // STRIDES[i % 3]) * (width // STRIDES[i % 3])
        assert a.shape == (n, 2 * cells, (1, 4, 10)[i // 3])
        assert np.abs(a - b.numpy()).max() < SAME * max(1.0, np.abs(a).max())


def test_insightface_loads_it_and_decodes_the_same_box(trained, exported, drawings):
    model_zoo = pytest.importorskip("insightface.model_zoo")
    detector = model_zoo.get_model(str(exported), providers=["CPUExecutionProvider"])
    assert detector.taskname == "detection"
    scores, boxes, points = best_faces(trained[0], drawings.images, size=64)
    present = torch.from_numpy(drawings.present)
    iou, _ = overlap(boxes, torch.from_numpy(drawings.boxes))
    row = int((iou * present).argmax())
    # The little it has learned makes it hesitant.
    detector.prepare(-1, input_size=(64, 64), det_thresh=0.8 * float(scores[row]))
    found, landmarks = detector.detect(drawings.images[row][:, :, ::-1])
    # OpenCV resizes in whole byte values.
    assert found[0, :4] == pytest.approx(boxes[row].numpy(), abs=0.4)
    assert found[0, 4] == pytest.approx(float(scores[row]), abs=0.05)
    assert landmarks[0] == pytest.approx(points[row].numpy(), abs=0.6)
    truth = torch.from_numpy(drawings.boxes[row : row + 1])
    assert overlap(torch.from_numpy(found[:1, :4]), truth)[0] > 0.5


def test_file_names_no_source_path(exported):
    assert b"fairness_core" not in exported.read_bytes()


def test_anchors_lie_as_insightface_decodes_them():
    anchors = anchors_for(64)
    assert len(anchors.centres) == 2 * (64 + 16 + 4)
    assert anchors.centres[:4].tolist() == [[0, 0], [0, 0], [8, 0], [8, 0]]
    assert anchors.centres[-1].tolist() == [32, 32]


def test_anchor_of_the_faces_size_near_its_centre_answers():
    boxes = torch.tensor([[18.0, 14.0, 46.0, 50.0], [18.0, 14.0, 46.0, 50.0]])
    anchors = anchors_for(64)
    chosen = assign(anchors, boxes, torch.tensor([True, False]))
    assert not chosen[1].any()
    near = (anchors.centres[chosen[0]] - torch.tensor([32.0, 32.0])).abs().amax(dim=1)
    assert (near <= 1.25 * anchors.strides[chosen[0]]).all()
    assert set(anchors.strides[chosen[0]].tolist()) == {8.0, 16.0}


def test_overlap_of_known_boxes():
    a = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1]])
    b = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1]])
    iou, generalised = overlap(a, b)
    assert iou.tolist() == pytest.approx([1 / 3, 0.0])
    assert generalised.tolist() == pytest.approx([1 / 3, -1 / 3])


def test_probe_of_a_detector_that_knows_nothing(drawings):
    figures = probe_detector(
        DetectorNetwork(4).eval(),
        drawings.images,
        drawings.boxes,
        drawings.landmarks,
        drawings.present,
    )
    assert figures["recall"] == 0.0
    assert figures["false_positives"] == 0.0


def test_affine_moves_pixels_and_points_alike():
    images = torch.full((1, 3, 32, 32), -1.0)
    images[:, :, 10, 20] = 1.0
    zoom, shift, flip = torch.tensor([1.5]), torch.tensor([[0.1, -0.05]]), torch.tensor([-1.0])
    moved = augment.affine(images, zoom=zoom, shift=shift, flip=flip, size=64)
    place = (torch.tensor([20.5, 10.5]) / 32 - 0.5) * torch.tensor([-1.5, 1.5]) + shift[0] + 0.5
    weight = (moved[0, 0] + 1).double()
    rows, columns = torch.meshgrid(*[torch.arange(64) + 0.5] * 2, indexing="ij")
    centre = torch.stack([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    assert centre.tolist() == pytest.approx((place * 64).tolist(), abs=0.1)


def test_plain_affine_is_the_enlargement_the_detector_is_used_with():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(2)
    ours = augment.affine(images, zoom=ones, shift=torch.zeros(2, 2), flip=ones, size=64)
    theirs = torch.nn.functional.interpolate(images, size=(64, 64), mode="bilinear")
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_blur_keeps_flat_colour_and_spreads_a_point():
    flat = torch.full((2, 3, 8, 8), 0.3)
    assert torch.allclose(augment.blur(flat, torch.tensor([0.5, 1.5])), flat, atol=1e-6)
    point = torch.zeros(2, 3, 9, 9)
    point[:, :, 4, 4] = 1.0
    soft = augment.blur(point, torch.tensor([0.01, 1.0]))
    assert soft[0, 0, 4, 4] == pytest.approx(1.0)
    assert soft[1, 0, 4, 4] == pytest.approx(0.16, abs=0.01)


def test_shuffled_blocks_are_the_same_pixels_elsewhere():
    images = torch.arange(3 * 16 * 16.0).reshape(1, 3, 16, 16)
    mixed = augment.shuffle_blocks(images, 4, torch.Generator().manual_seed(0))
    assert not torch.equal(mixed, images)
    assert torch.equal(mixed.flatten().sort().values, images.flatten())
