"""Image files."""

import numpy as np
import pytest
import torch
from PIL import Image

from fairness_core.errors import ArtifactError
from fairness_core.evaluation import read_images, to_bytes, write_png


def test_pixels_survive_the_file_exactly(tmp_path):
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3) * 2
    for i in range(2):
        write_png(pixels[i], tmp_path / "a" / f"{i}.png")
    images = read_images(tmp_path, ["a/0.png", "a/1.png"])
    assert images.shape == (2, 3, 4, 5)
    assert np.array_equal(to_bytes(images), pixels)
    assert [p.name for p in (tmp_path / "a").iterdir() if p.suffix != ".png"] == []


def test_values_round_as_in_stock_pipelines_and_clip():
    values = torch.tensor([-3.0, -1.0, 0.0, 1.0, 1.5]).view(1, 1, 1, 5).expand(1, 3, 1, 5)
    assert to_bytes(values)[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255]


def test_missing_damaged_and_odd_sized_images_are_named(tmp_path):
    write_png(np.zeros((4, 4, 3), np.uint8), tmp_path / "a.png")
    with pytest.raises(ArtifactError, match=r"missing or damaged.*b\.png"):
        read_images(tmp_path, ["a.png", "b.png"])
    whole = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"missing or damaged.*b\.png"):
        read_images(tmp_path, ["a.png", "b.png"])
    Image.new("RGB", (5, 4)).save(tmp_path / "c.png")
    with pytest.raises(ArtifactError, match=r"differ in size.*c\.png"):
        read_images(tmp_path, ["a.png", "c.png"])
