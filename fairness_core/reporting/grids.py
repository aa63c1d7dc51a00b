"""Generated images in pairs from the same noise: a sprite per prompt and model, and its cells."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, UnidentifiedImageError

from fairness_core.errors import ArtifactError
from fairness_core.reporting.data import MODELS, ReportData
from fairness_core.reporting.picture import fit_square

__all__ = ["Cell", "Pair", "Sheet", "sheet"]

COLUMNS = 16
SMALL, LARGE = 96, 160


@dataclass(frozen=True)
class Cell:
    """One image of the page.

    Attributes:
        x: Left edge in the sprite, px.
        y: Top edge in the sprite, px.
        box: Face box in the tile's px as x, y, width, height; None without a face.
        classes: Predicted class of each attribute; empty without a face.
        text: Description for screen readers.
    """

    x: int
    y: int
    box: tuple[float, float, float, float] | None
    classes: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Pair:
    """The base and the aligned image of the same prompt and noise."""

    index: int
    cells: dict[str, Cell]

    @property
    def changed(self) -> bool:
        """Whether the predicted classes differ, a face appearing or vanishing included."""
        return self.cells["base"].classes != self.cells["aligned"].classes


@dataclass(frozen=True)
class Sheet:
    """The pictures of one prompt: a sprite per model, as data URIs, and its cells.

    Attributes:
        tile: Edge of a tile, px.
        width: Sprite width, px.
        height: Sprite height, px.
        sprites: Model to JPEG data URI.
        pairs: In the order of the index.
    """

    tile: int
    width: int
    height: int
    sprites: dict[str, str]
    pairs: tuple[Pair, ...]


def sheet(data: ReportData, prompt_id: str) -> Sheet:
    """Sprites and cells of the first images by index that both models have.

    Images are fitted into square tiles, 96 px for images up to that size and 160 px otherwise.

    Raises:
        ArtifactError: An image is missing or cannot be read, the tables hold an image twice, or
            the two models share no index.
    """
    rows = _pairs(data, prompt_id)
    indices = list(rows["base"].index)
    sprites: dict[str, str] = {}
    cells: dict[str, list[Cell]] = {}
    pictures = {
        model: [_open(data.folders[model] / str(name)) for name in rows[model]["file"]]
        for model in MODELS
    }
    tile = SMALL if max(pictures["base"][0].size) <= SMALL else LARGE
    size = (min(len(indices), COLUMNS) * tile, math.ceil(len(indices) / COLUMNS) * tile)
    for model in MODELS:
        canvas = Image.new("RGB", size, (128, 128, 128))
        cells[model] = []
        records = rows[model].reset_index().to_dict("records")
        for k, (row, picture) in enumerate(zip(records, pictures[model], strict=True)):
            fitted, placed = _place(picture, tile, k)
            canvas.paste(fitted, (placed.x + placed.left, placed.y + placed.top))
            cells[model].append(_cell(data, model, {str(c): v for c, v in row.items()}, placed))
        sprites[model] = _jpeg_uri(canvas)
    pairs = tuple(
        Pair(int(index), {model: cells[model][k] for model in MODELS})
        for k, index in enumerate(indices)
    )
    return Sheet(tile, *size, sprites, pairs)


@dataclass(frozen=True)
class _Placed:
    """Where an image lies: its tile's corner, its offset in the tile, its scale."""

    x: int
    y: int
    left: int
    top: int
    scale: float


def _place(picture: Image.Image, tile: int, k: int) -> tuple[Image.Image, _Placed]:
    fitted, scale, (left, top) = fit_square(picture, tile)
    return fitted, _Placed(k % COLUMNS * tile, k // COLUMNS * tile, left, top, scale)


def _pairs(data: ReportData, prompt_id: str) -> dict[str, pd.DataFrame]:
    """Images joined with faces per model, indexed by the image's index, both models alike."""
    keys = ["prompt_id", "index", "model"]
    images = data.images[data.images["prompt_id"] == prompt_id]
    faces = data.faces[data.faces["prompt_id"] == prompt_id]
    if images.duplicated(keys).any() or faces.duplicated(keys).any():
        raise ArtifactError(
            f"The prompt '{prompt_id}' has two rows for one image",
            do="repeat generate_images and evaluate_bias",
        )
    probabilities = [column for column in faces.columns if column.startswith("p_")]
    wanted = [*keys, "present", "x0", "y0", "x1", "y1", *data.space.names, *probabilities]
    joined = images[[*keys, "file"]].merge(faces[wanted], on=keys, how="inner")
    rows = {model: joined[joined["model"] == model].set_index("index") for model in MODELS}
    shared = sorted(set(rows["base"].index) & set(rows["aligned"].index))
    if not shared:
        raise ArtifactError(
            f"The prompt '{prompt_id}' has no image that both models made from the same noise",
            do="generate base and aligned with the same prompts and indices",
        )
    return {model: rows[model].loc[shared[: data.images_per_prompt]] for model in MODELS}


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ArtifactError(
            "An image of the report cannot be read", given=path, do="repeat generate_images"
        ) from error


def _jpeg_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=86, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _cell(data: ReportData, model: str, row: dict[str, Any], placed: _Placed) -> Cell:
    start = f"{model.capitalize()}, image {row['index']}: "
    if not bool(row["present"]):
        return Cell(placed.x, placed.y, None, (), start + "no face found")
    x0, y0, x1, y1 = (float(row[key]) * placed.scale for key in ("x0", "y0", "x1", "y1"))
    box = (x0 + placed.left, y0 + placed.top, x1 - x0, y1 - y0)
    classes = tuple(str(row[name]) for name in data.space.names)
    said = []
    for name, predicted in zip(data.space.names, classes, strict=True):
        probability = row.get(f"p_{name}_{predicted}")
        said.append(predicted if probability is None else f"{predicted} ({probability:.2f})")
    return Cell(placed.x, placed.y, box, classes, start + "perceived " + ", ".join(said))
