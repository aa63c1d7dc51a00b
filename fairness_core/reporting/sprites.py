"""Sprites of thumbnails: as large as a limit of bytes for the whole page allows."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from fairness_core.errors import ArtifactError

__all__ = ["COLUMNS", "Placed", "Size", "Sprite", "choose_size", "open_picture", "sprite"]

COLUMNS = 16
# Of base64 text. With it a page of 16,000 pictures, their boxes and tables stays below 20 MB.
LIMIT = 16_500_000
SAMPLE = 32
# Estimates are from a sample; pages have come out up to 6 % above them.
SAFETY = 1.08


@dataclass(frozen=True)
class Size:
    """Edge of a tile in px and WebP quality, 0 to 100."""

    tile: int
    quality: int


# From the best to the smallest. Small sources are enlarged here, more smoothly than by a browser.
SMALL = (Size(96, 88), Size(64, 86), Size(48, 84), Size(32, 80))
LARGE = (
    Size(256, 82), Size(224, 80), Size(192, 78), Size(160, 76), Size(128, 74), Size(112, 68),
    Size(96, 62), Size(80, 54), Size(72, 44), Size(72, 34), Size(64, 40), Size(64, 30),
    Size(56, 36), Size(48, 36),
)  # fmt: skip
SMALL_EDGE = 96


@dataclass(frozen=True)
class Placed:
    """Where an image lies: its tile's corner, its offset in the tile, tile px per image px."""

    x: int
    y: int
    left: int
    top: int
    scale: float


@dataclass(frozen=True)
class Sprite:
    """Tiles side by side in one picture.

    Attributes:
        width: px.
        height: px.
        uri: WebP data URI.
        places: One for each picture, in order.
    """

    width: int
    height: int
    uri: str
    places: tuple[Placed, ...]


def open_picture(path: Path) -> Image.Image:
    """Read one picture as RGB.

    Raises:
        ArtifactError: It is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ArtifactError(
            "An image of the report cannot be read", given=path, do="repeat generate_images"
        ) from error


def sprite(pictures: Sequence[Image.Image], size: Size) -> Sprite:
    """Fit pictures into square tiles, at most 16 in a row.

    Args:
        pictures: At least one, of any size.
        size: Of the tiles.
    """
    tile = size.tile
    columns = min(len(pictures), COLUMNS)
    width, height = columns * tile, math.ceil(len(pictures) / COLUMNS) * tile
    canvas = Image.new("RGB", (width, height), (128, 128, 128))
    places = []
    for k, picture in enumerate(pictures):
        fitted, scale, (left, top) = _fit_square(picture, tile)
        x, y = k % COLUMNS * tile, k // COLUMNS * tile
        canvas.paste(fitted, (x + left, y + top))
        places.append(Placed(x, y, left, top, scale))
    buffer = io.BytesIO()
    canvas.save(buffer, "WEBP", quality=size.quality, method=4)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return Sprite(width, height, "data:image/webp;base64," + text, tuple(places))


def choose_size(
    read: Callable[[int], Image.Image], count: int, *, limit: int = LIMIT, sample: int = SAMPLE
) -> Size:
    """The largest tiles with which all pictures stay below a limit, by a sample of them.

    Args:
        read: Gives the picture of that number.
        count: Pictures on the page, at least 1.
        limit: Characters of base64 text for all of them.
        sample: Pictures encoded to find out.

    Returns:
        The smallest size there is, where none stays below the limit.
    """
    step = max(1, count // sample)
    pictures = [read(k) for k in range(0, count, step)][:sample]
    edge = max(max(picture.size) for picture in pictures)
    sizes = SMALL if edge <= SMALL_EDGE else LARGE
    for size in sizes:
        if len(sprite(pictures, size).uri) / len(pictures) * count * SAFETY <= limit:
            return size
    return sizes[-1]


def _fit_square(image: Image.Image, tile: int) -> tuple[Image.Image, float, tuple[int, int]]:
    """Fit an image into a square tile with Lanczos resampling.

    Returns:
        The resized image, tile px per image px, and its left and top offset inside the tile.
    """
    scale = tile / max(image.size)
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    # Halving large pictures first costs little of their sharpness and most of the time.
    fitted = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return fitted, scale, ((tile - width) // 2, (tile - height) // 2)
