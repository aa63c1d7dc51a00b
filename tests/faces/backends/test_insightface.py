from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch
from torch.nn import functional

from fairness_core.errors import ConfigError, ModelError
from fairness_core.faces import ChainedDetector, area_clipped
from fairness_core.faces.backends import InsightFaceDetector, load_detector
from tests.faces.tiny_detector import bright_cells, random_weights, write_detector


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    write_detector(folder / "det.onnx", bright_cells())
    return folder


def blotches(count, height, width, generator):
    """Random smooth colour images in [-1, 1]."""
    coarse = torch.rand(count, 3, 5, 4, generator=generator) * 4 - 2
    return functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(-1, 1)


def insightface_answer(detector, image):
    """The largest of the faces that insightface's own detect finds, or None."""
    pixels = ((image + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    bgr = np.ascontiguousarray(pixels[:, :, ::-1])
    found, landmarks = detector.model.detect(bgr, input_size=(detector.det_size,) * 2)
    area = area_clipped(torch.from_numpy(found[:, :4]), pixels.shape[:2])
    if not (area > 0).any():
        return None
    best = int(area.argmax())
    return found[best, :4], found[best, 4], landmarks[best]


def test_a_bright_spot_is_found_where_it_is(pack):
    detector = InsightFaceDetector(pack, det_size=64)
    images = -torch.ones(3, 3, 32, 32)
    # Twice as large for the network: the cell of stride 8 in row 4, column 2.
    images[0, :, 16:20, 8:12] = 1.0
    images[2, :, 8:12, 20:24] = 1.0
    faces = detector.detect(images)
    assert faces.present.tolist() == [True, False, True]
    assert faces.boxes[0].tolist() == [8 - 4, 16 - 4, 8 + 8, 16 + 8]
    assert faces.boxes[2].tolist() == [20 - 4, 8 - 4, 20 + 8, 8 + 8]
    assert faces.landmarks[0].tolist() == [[8 + i, 16 + 4] for i in range(5)]
    assert 0.99 < faces.scores[0] <= 1
    for values in (faces.boxes, faces.landmarks, faces.scores):
        assert (values[1] == 0).all()


def test_of_a_whole_pack_only_the_detector_is_read(tmp_path):
    """The layout of buffalo_l; what lies beside the detector could not even be read."""
    for name in ("1k3d68", "2d106det", "genderage", "w600k_r50"):
        (tmp_path / f"{name}.onnx").write_bytes(b"not to be read")
    write_detector(tmp_path / "det_10g.onnx", bright_cells(), batch=1, rank=2)
    images = -torch.ones(2, 3, 32, 32)
    images[1, :, 16:20, 8:12] = 1.0
    faces = InsightFaceDetector(tmp_path, det_size=64).detect(images)
    assert faces.present.tolist() == [False, True]
    (tmp_path / "det_10g.onnx").unlink()
    with pytest.raises(ModelError, match=r"ONNX file is damaged.*1k3d68"):
        InsightFaceDetector(tmp_path, det_size=64)


def test_a_box_of_the_larger_stride_wins(pack):
    images = -torch.ones(1, 3, 64, 64)
    images[0, :, 0:8, 48:56] = 1.0  # a cell of stride 8
    images[0, :, 32:64, 0:32] = 1.0  # a cell of stride 32, at x = 0, y = 32
    faces = InsightFaceDetector(pack, det_size=64).detect(images)
    assert faces.boxes[0].tolist() == [-32, 0, 64, 96]


def test_an_oblong_image_keeps_its_aspect(pack):
    """Only the longer side is fitted; coordinates are the image's own px."""
    detector = InsightFaceDetector(pack, det_size=64)
    tall = -torch.ones(1, 3, 128, 96)
    tall[0, :, 64:80, 32:48] = 1.0
    faces = detector.detect(tall)
    assert faces.boxes[0].tolist() == [32 - 16, 64 - 16, 32 + 32, 64 + 32]
    wide = detector.detect(tall.transpose(2, 3))
    assert wide.boxes[0].tolist() == [64 - 16, 32 - 16, 64 + 32, 32 + 32]


@pytest.mark.parametrize("shape", [(32, 32), (50, 70), (90, 40)])
@pytest.mark.parametrize(("batch", "rank"), [(None, 3), (1, 3), (None, 2), (1, 2)])
def test_equals_insightface_on_every_kind_of_file(tmp_path, batch, rank, shape, generator):
    found = 0
    for seed in range(2):
        folder = tmp_path / str(seed)
        write_detector(folder / "det.onnx", random_weights(seed), batch=batch, rank=rank)
        detector = InsightFaceDetector(folder, det_size=64, threshold=0.5, batch_size=4)
        images = blotches(6, *shape, generator)
        images[2] = -1.0
        faces = detector.detect(images)
        for i, image in enumerate(images):
            expected = insightface_answer(detector, image)
            assert faces.present[i].item() == (expected is not None)
            if expected is not None:
                found += 1
                box, score, landmarks = expected
                np.testing.assert_allclose(faces.boxes[i], box, rtol=1e-5, atol=1e-4)
                np.testing.assert_allclose(faces.scores[i], score, rtol=1e-5)
                np.testing.assert_allclose(faces.landmarks[i], landmarks, rtol=1e-5, atol=1e-4)
    assert found > 4


def test_the_network_is_called_by_the_batch_where_the_file_permits(tmp_path, monkeypatch):
    images = -torch.ones(10, 3, 32, 32)
    for batch, expected in ((None, [4, 4, 2]), (1, [1] * 10)):
        folder = tmp_path / str(batch)
        write_detector(folder / "det.onnx", bright_cells(), batch=batch)
        detector = InsightFaceDetector(folder, det_size=32, batch_size=4)
        calls = []

        class Counting:
            def __init__(self, session, calls):
                self.session, self.calls = session, calls

            def run(self, names, feed):
                self.calls.append(len(feed["input.1"]))
                return self.session.run(names, feed)

        monkeypatch.setattr(detector.model, "session", Counting(detector.model.session, calls))
        detector.detect(images)
        assert calls == expected


def test_in_memory_and_from_8_bits_give_the_same(tmp_path, generator):
    write_detector(tmp_path / "det.onnx", random_weights(3))
    detector = InsightFaceDetector(tmp_path, det_size=64)
    images = blotches(4, 32, 32, generator)
    stored = ((images + 1) * 127.5).round() / 127.5 - 1
    here, there = detector.detect(images), detector.detect(stored)
    assert here.present.any()
    assert torch.equal(here.boxes, there.boxes)
    # Beyond [-1, 1], as a decoder gives, counts as the end of the range.
    assert torch.equal(
        detector.detect(images * 3).boxes, detector.detect((images * 3).clamp(-1, 1)).boxes
    )


def test_no_images_no_faces(pack):
    faces = InsightFaceDetector(pack, det_size=64).detect(torch.zeros(0, 3, 32, 32))
    assert faces.boxes.shape == (0, 4)
    assert faces.present.shape == (0,)


def test_threads_are_set(pack):
    options = InsightFaceDetector(pack, det_size=64, threads=2).model.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    options = InsightFaceDetector(pack, det_size=64).model.session.get_session_options()
    assert options.intra_op_num_threads == torch.get_num_threads()


def test_other_models_of_a_pack_are_left_alone(tmp_path):
    write_detector(tmp_path / "a_boxes_only.onnx", bright_cells(), kinds=("score", "bbox"))
    write_detector(tmp_path / "det.onnx", bright_cells())
    detector = InsightFaceDetector(tmp_path, det_size=64)
    assert detector.model.model_file.endswith("det.onnx")


def test_a_missing_or_empty_folder_is_refused_without_a_download(tmp_path):
    with pytest.raises(ModelError, match=r"no face detector folder.*nothing is downloaded"):
        InsightFaceDetector(tmp_path / "buffalo_l", det_size=64)
    with pytest.raises(ModelError, match="no ONNX file"):
        InsightFaceDetector(tmp_path, det_size=64)


def test_a_pack_without_a_landmark_detector_names_what_it_has(tmp_path):
    write_detector(tmp_path / "boxes.onnx", bright_cells(), kinds=("score", "bbox"))
    with pytest.raises(ModelError, match=r"9 outputs.*boxes\.onnx: 6"):
        InsightFaceDetector(tmp_path, det_size=64)


def test_a_damaged_file_is_named(tmp_path):
    path = write_detector(tmp_path / "det.onnx", bright_cells())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"damaged.*det\.onnx"):
        InsightFaceDetector(tmp_path, det_size=64)


def test_a_graph_that_does_not_run_is_named(tmp_path):
    import onnx

    path = write_detector(tmp_path / "det.onnx", bright_cells())
    model = onnx.load_model(str(path))
    model.graph.node[0].op_type = "NoSuchOperator"
    onnx.save_model(model, str(path))
    with pytest.raises(ModelError, match=r"Could not load the detector.*det\.onnx"):
        InsightFaceDetector(tmp_path, det_size=64)


def test_a_fixed_input_size_must_be_the_one_asked_for(tmp_path):
    write_detector(tmp_path / "det.onnx", bright_cells(), batch=1, side=96)
    with pytest.raises(ModelError, match=r"one input size.*64 px where it takes 96x96"):
        InsightFaceDetector(tmp_path, det_size=64)
    images = -torch.ones(1, 3, 96, 96)
    images[0, :, 16:24, 40:48] = 1.0
    faces = InsightFaceDetector(tmp_path, det_size=96).detect(images)
    assert faces.boxes[0].tolist() == [32, 8, 56, 32]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"det_size": 50}, "no multiple of 32"),
        ({"det_size": 0}, "no multiple of 32"),
        ({"threshold": 0.0}, r"not in \(0, 1\)"),
        ({"device": "tpu"}, r"cannot run there.*CPUExecutionProvider"),
    ],
)
def test_settings_out_of_range_are_refused(pack, change, message):
    with pytest.raises(ConfigError, match=message):
        InsightFaceDetector(pack, **({"det_size": 64} | change))


def test_without_insightface_the_extra_is_named(pack, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name == "insightface":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ModelError, match=r"evenhand\[faces\]"):
        InsightFaceDetector(pack, det_size=64)


def test_every_face_is_what_insightface_finds(tmp_path, generator):
    """Over several batches; each image's first face is the largest one."""
    write_detector(tmp_path / "det.onnx", random_weights(3))
    detector = InsightFaceDetector(tmp_path, det_size=64, batch_size=2)
    images = blotches(5, 64, 64, generator)
    faces, image = detector.detect_all(images)
    assert len(image) > len(images)
    largest = detector.detect(images)
    for row, picture in enumerate(images):
        pixels = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
        found, _ = detector.model.detect(
            np.ascontiguousarray(pixels[:, :, ::-1]), input_size=(64, 64)
        )
        inside = area_clipped(torch.from_numpy(found[:, :4]), (64, 64)) > 0
        own = image == row
        assert int(own.sum()) == int(inside.sum())
        theirs = np.sort(found[inside.numpy(), 4])
        np.testing.assert_allclose(np.sort(faces.scores[own].numpy()), theirs, atol=1e-5)
        if own.any():
            assert torch.equal(faces.boxes[own][0], largest.boxes[row])


def test_a_second_detector_of_another_size_is_chained(pack):
    assert isinstance(load_detector(pack, det_size=64), InsightFaceDetector)
    both = load_detector(pack, det_size=64, second=pack, second_size=32)
    assert isinstance(both, ChainedDetector)
    assert (both.first.det_size, both.second.det_size) == (64, 32)
    assert load_detector(pack, det_size=64, second=pack).second.det_size == 64
    none = both.detect_all(-torch.ones(2, 3, 32, 32))
    assert len(none[1]) == 0
    with pytest.raises(ModelError, match="no face detector folder"):
        load_detector(pack, det_size=64, second=pack / "nowhere")
