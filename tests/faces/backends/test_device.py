"""Where the detector runs: what onnxruntime can, and one line in the log where it cannot."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import onnxruntime
import pytest
import torch
from insightface import model_zoo

from fairness_core.errors import ConfigError
from fairness_core.faces.backends import InsightFaceDetector, load_detector, pack
from tests.faces.tiny_detector import bright_cells, write_detector

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.fixture
def folder(tmp_path):
    write_detector(tmp_path / "det.onnx", bright_cells())
    return tmp_path


@pytest.fixture
def said(monkeypatch):
    """What a process that has detected nothing yet logs."""
    pack._say_once.cache_clear()
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    monkeypatch.setattr(pack._logger, "handlers", [handler])
    yield lines
    pack._say_once.cache_clear()


@pytest.fixture
def asked(monkeypatch):
    """Providers asked for, on a machine whose onnxruntime lists CUDA; ``starts``: those it gets."""
    found = SimpleNamespace(providers=[], starts=[CUDA, CPU])
    real = model_zoo.get_model

    def get_model(file, *, providers, sess_options):
        found.providers.append(providers)
        model = real(file, providers=[CPU], sess_options=sess_options)
        monkeypatch.setattr(model.session, "get_providers", lambda: found.starts)
        return model

    monkeypatch.setattr(model_zoo, "get_model", get_model)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    return found


@pytest.fixture
def without_cuda(monkeypatch):
    """The pinned onnxruntime, whatever is installed."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU])


def test_without_the_provider_the_cpu_detects_and_the_log_says_so_once(folder, without_cuda, said):
    for _ in range(2):
        both = load_detector(folder, det_size=64, second=folder, device="cuda:1", strict=False)
    assert [d.model.session.get_providers() for d in (both.first, both.second)] == [[CPU], [CPU]]
    images = -torch.ones(2, 3, 32, 32)
    images[0, :, 16:20, 8:12] = 1.0
    assert both.detect(images).present.tolist() == [True, False]
    (line,) = said
    assert "on the CPU" in line
    assert "install onnxruntime-gpu in place of onnxruntime" in line


def test_where_the_cpu_was_asked_for_nothing_is_said(folder, without_cuda, said):
    for strict in (True, False):
        load_detector(folder, det_size=64, device="cpu", strict=strict)
    assert said == []


def test_asked_for_in_particular_it_is_an_error(folder, without_cuda, said):
    with pytest.raises(ConfigError, match=r"cannot run there.*'cuda'.*onnxruntime-gpu in place of"):
        load_detector(folder, det_size=64, device="cuda")
    assert said == []


@pytest.mark.parametrize("strict", [True, False])
def test_with_the_provider_the_processs_gpu_comes_first(folder, asked, said, strict):
    InsightFaceDetector(folder, det_size=64, device="cuda:3", strict=strict)
    ((cuda, rest),) = asked.providers
    assert (cuda[0], cuda[1]["device_id"], rest) == (CUDA, "3", CPU)
    # Nothing is chosen by the clock: a run that goes on must go on with the same bits.
    assert cuda[1]["cudnn_conv_algo_search"] == "DEFAULT"
    assert said == []


def test_a_gpu_without_a_number_is_the_first(folder, asked):
    InsightFaceDetector(folder, det_size=64, device="cuda")
    assert asked.providers[0][0][1]["device_id"] == "0"


def test_a_provider_that_does_not_start_is_noticed(folder, asked, said):
    """As onnxruntime-gpu without CUDA's libraries: listed, and left out of the session."""
    asked.starts = [CPU]
    with pytest.raises(ConfigError, match=r"cannot run there.*did not start.*cuDNN"):
        InsightFaceDetector(folder, det_size=64, device="cuda")
    InsightFaceDetector(folder, det_size=64, device="cuda", strict=False)
    (line,) = said
    assert "on the CPU" in line
    assert "did not start" in line


def test_a_linked_file_is_the_detector_whatever_it_leads_to(tmp_path):
    """The hub's cache keeps files under their hashes, and links with their names."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    kept = write_detector(tmp_path / "det.onnx", bright_cells()).rename(tmp_path / "blobs/0123abcd")
    (tmp_path / "snapshot/det.onnx").symlink_to(kept)
    images = -torch.ones(1, 3, 32, 32)
    images[0, :, 16:20, 8:12] = 1.0
    assert InsightFaceDetector(tmp_path / "snapshot", det_size=64).detect(images).present.all()
