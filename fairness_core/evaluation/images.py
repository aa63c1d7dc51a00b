"""Images on disk: PNG files, one table row each."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from fairness_core.errors import ArtifactError

__all__ = ["read_images", "to_bytes", "write_png"]


def to_bytes(images: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Round images in [-1, 1] to 0..255 as stock diffusers pipelines do; values outside clip."""
    unit = (images.detach().float() / 2 + 0.5).clamp(0, 1)
    array: np.ndarray = unit.permute(0, 2, 3, 1).cpu().numpy()
    return (array * 255).round().astype(np.uint8)


def write_png(pixels: UInt8[np.ndarray, "h w 3"], path: Path) -> None:
    """Write one PNG so that a reader never sees half of it; makes the folder when missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".png.tmp")
    Image.fromarray(pixels).save(temporary, format="PNG")
    os.replace(temporary, path)


def read_images(folder: Path, files: Iterable[str]) -> Float[Tensor, "n 3 h w"]:
    """Read PNG files of one size as RGB in [-1, 1].

    Args:
        folder: Where the paths start.
        files: Paths relative to it, at least one.

    Raises:
        ArtifactError: A file is missing or damaged, or the sizes differ.
    """
    arrays = []
    for name in files:
        try:
            with Image.open(folder / name) as picture:
                arrays.append(np.asarray(picture.convert("RGB")))
        except (OSError, SyntaxError) as error:
            raise ArtifactError(
                f"An image is missing or damaged ({type(error).__name__}: {error})",
                given=folder / name,
                do="generate the images again",
            ) from error
        if arrays[-1].shape != arrays[0].shape:
            raise ArtifactError(
                "Images differ in size",
                given=f"{folder / name}: {arrays[-1].shape[:2]}, others {arrays[0].shape[:2]}",
                do="generate the images again with one model",
            )
    pixels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
    return pixels.float() / 127.5 - 1.0
