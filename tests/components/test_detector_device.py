"""``models.detector_device``: followed by every step that detects."""

from __future__ import annotations

import onnxruntime
import pytest
import torch

from components.build_bank.main import main as build_bank
from components.finetune.main import main as finetune
from components.generate_baselines.main import main as generate_baselines
from components.measure_images.main import main as measure_images
from components.step import face_detector
from fairness_core.config import load
from fairness_core.faces.backends import load as loading
from tests.components.test_bad_input import message

STEPS = {
    "build_bank": (build_bank, ()),
    "finetune": (finetune, ("--checkpoints", "c", "--metrics", "m.json", "--bank", "b")),
    "generate_baselines": (generate_baselines, ("--set", "baselines.methods=[intervention]")),
    "measure_images": (measure_images, ()),
}


@pytest.fixture(autouse=True)
def without_cuda(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])


@pytest.mark.parametrize("step", STEPS)
def test_a_gpu_that_was_asked_for_and_is_not_there_ends_the_step(here, capsys, tmp_path, step):
    main, options = STEPS[step]
    argv = ("--set", "models.detector_device=cuda", "--out", tmp_path / "o", *options)
    said = message(capsys, main, *argv)
    assert "The face detector cannot run there" in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("asked", "device", "expected"),
    [
        ("auto", "cpu", ("cpu", False)),
        ("auto", "cuda:1", ("cuda:1", False)),
        ("cpu", "cuda:1", ("cpu", True)),
        ("cuda", "cuda:1", ("cuda:1", True)),
        ("cuda", "cpu", ("cuda", True)),
    ],
)
def test_auto_follows_the_run_and_may_fall_back(repository, monkeypatch, asked, device, expected):
    seen = []
    monkeypatch.setattr(
        loading, "load_detector", lambda *_, device, strict, **__: seen.append((device, strict))
    )
    models = load(repository / "params.yaml", [f"models.detector_device={asked}"]).section("models")
    face_detector(models, torch.device(device))
    assert seen == [expected]


def test_a_run_on_a_gpu_detects_with_the_pinned_packages(repository):
    models = load(repository / "params.yaml").section("models")
    assert models["detector_device"] == "auto"
    found = face_detector(models, torch.device("cuda", 0)).detect(-torch.ones(1, 3, 64, 64))
    assert not found.present.any()
