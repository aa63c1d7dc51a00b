"""Models of the hub: one pinned commit, from the cache, and nothing while offline."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch

from fairness_core.errors import ModelError
from fairness_core.faces.backends import load_detector
from fairness_core.portraits.models import resolve
from fairness_core.runtime import hub
from tests.faces.tiny_detector import bright_cells, write_detector

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:12], COMMIT.upper(), ""])
def test_a_revision_that_may_move_is_refused(revision: str) -> None:
    with pytest.raises(ModelError, match=f"needs a pinned revision.*org/name@{revision}"):
        resolve(f"org/name@{revision}")


def test_a_name_without_a_revision_is_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="does not exist.*org/name.*ORG/NAME@REVISION"):
        resolve("org/name")


def test_nothing_is_fetched_while_offline() -> None:
    with pytest.raises(ModelError, match="could not be fetched.*HF_HUB_OFFLINE"):
        resolve(f"org/name@{COMMIT}")


def test_a_folder_of_that_name_counts_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(f"org/name@{COMMIT}")
    folder.mkdir(parents=True)
    assert resolve(str(folder)) == folder


def test_asks_for_the_commit_and_for_no_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", download)
    assert resolve(f"org/name@{COMMIT}") == tmp_path
    assert (asked["repository"], asked["revision"]) == ("org/name", COMMIT)
    # As huggingface_hub chooses files.
    files = {
        "model_index.json": True,
        "unet/config.json": True,
        "unet/diffusion_pytorch_model.safetensors": True,
        "text_encoder_2/model-00001-of-00002.safetensors": True,
        "tokenizer_2/spiece.model": True,
        "tokenizer/merges.txt": True,
        "model.safetensors": True,
        "v1-5-pruned-emaonly.safetensors": False,
        "unet/diffusion_pytorch_model.fp16.safetensors": False,
        "unet/diffusion_pytorch_model.bin": False,
        "text_encoder/pytorch_model.bin": False,
        "safety_checker/model.safetensors": False,
        "det_10g.onnx": True,
        "unet/model.onnx": False,
    }
    for file, wanted in files.items():
        allowed = any(fnmatch(file, pattern) for pattern in asked["allow_patterns"])
        ignored = any(fnmatch(file, pattern) for pattern in asked["ignore_patterns"])
        assert (allowed and not ignored) == wanted, file


def test_a_detector_of_the_hub_is_found_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache's layout: files under their hashes, and a commit's folder of links to them."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / COMMIT
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    written = write_detector(tmp_path / "det.onnx", bright_cells())

    def download(
        _: str, *, allow_patterns: list[str], ignore_patterns: list[str], **__: Any
    ) -> str:
        name = written.name
        if any(fnmatch(name, one) for one in allow_patterns) and not any(
            fnmatch(name, one) for one in ignore_patterns
        ):
            (snapshot / name).symlink_to(written.rename(blobs / "0123abcd"))
        return str(snapshot)

    monkeypatch.setattr(hub, "snapshot_download", download)
    detector = load_detector(resolve(f"org/pack@{COMMIT}"), det_size=64)
    images = -torch.ones(1, 3, 32, 32)
    images[0, :, 16:20, 8:12] = 1.0
    assert detector.detect(images).present.all()
