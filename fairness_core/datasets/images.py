"""Photographs from disk, one at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fairness_core.errors import DataError

__all__ = ["decode"]


def decode(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file as RGB in 0..255.

    Raises:
        DataError: The file is missing, damaged, no image, or larger than Pillow thinks safe.
    """
    try:
        with Image.open(path) as picture:
            return np.array(picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(
            f"An image cannot be decoded ({type(error).__name__}: {str(error)[:200]})",
            given=path,
            do="fetch it again, or take its row out of the table",
        ) from error
