"""Generated images side by side from the same noise: a sprite per prompt and model, its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.errors import ArtifactError
from fairness_core.reporting.data import PictureSource
from fairness_core.reporting.sprites import (
    COLUMNS,
    SMALL,
    Placed,
    Size,
    choose_size,
    open_picture,
    sprite,
)

__all__ = ["Cell", "Pair", "Sheet", "sheet", "tile_size"]

BLEED = 0.6  # px: browsers interpolate and WebP halves the resolution of colour


@dataclass(frozen=True)
class Cell:
    """One image of the page.

    Attributes:
        x: Left edge in the sprite, px.
        y: Top edge in the sprite, px.
        box: Face box in the tile's px as x, y, width, height; None without a face.
        classes: Predicted class of each attribute; empty without a face.
        probabilities: Per attribute of each class; empty where the table has none.
        text: Description for screen readers.
    """

    x: int
    y: int
    box: tuple[float, float, float, float] | None
    classes: tuple[str, ...]
    probabilities: tuple[tuple[float, ...], ...]
    text: str


@dataclass(frozen=True)
class Pair:
    """The images of one prompt and noise, one of each model."""

    index: int
    cells: dict[str, Cell]

    @property
    def changed(self) -> bool:
        """Whether predicted classes differ between models, a face found or lost included."""
        return len({cell.classes for cell in self.cells.values()}) > 1


@dataclass(frozen=True)
class Sheet:
    """The pictures of one prompt: a sprite per model, as data URIs, and its cells.

    Attributes:
        tile: Edge of a tile, px.
        columns: Tiles in a row.
        width: Sprite width, px.
        height: Sprite height, px.
        sprites: Model to WebP data URI.
        pairs: In the order of the index.
    """

    tile: int
    columns: int
    width: int
    height: int
    sprites: dict[str, str]
    pairs: tuple[Pair, ...]

    @property
    def window(self) -> str:
        """``viewBox`` that shows a tile and nothing that its neighbours bleed into it."""
        return f"{BLEED:g} {BLEED:g} {self.tile - 2 * BLEED:g} {self.tile - 2 * BLEED:g}"


def tile_size(source: PictureSource, prompt_ids: Sequence[str]) -> Size:
    """The largest tiles with which the pictures of all these prompts fit into one page.

    Raises:
        ArtifactError: An image cannot be read.
    """
    rows = source.images[source.images["prompt_id"].isin(list(prompt_ids))]
    rows = rows[rows["model"].isin(source.models)]
    of_all = rows.groupby(["prompt_id", "index"])["model"].transform("nunique")
    rows = rows[of_all == len(source.models)]
    rows = rows[rows.groupby(["prompt_id", "model"])["index"].rank() <= source.shown]
    files = [
        source.folders[str(model)] / str(name)
        for model, name in zip(rows["model"], rows["file"], strict=True)
    ]
    return choose_size(lambda k: open_picture(files[k]), len(files)) if files else SMALL[0]


def sheet(source: PictureSource, prompt_id: str, size: Size) -> Sheet:
    """Sprites and cells of the first images by index that all models have.

    Raises:
        ArtifactError: An image is missing or cannot be read, the tables hold an image twice, or
            the models share no index.
    """
    rows = _pairs(source, prompt_id)
    indices = list(rows[source.models[0]].index)
    cells: dict[str, list[Cell]] = {}
    made = {}
    for model in source.models:
        folder = source.folders[model]
        made[model] = sprite([open_picture(folder / str(f)) for f in rows[model]["file"]], size)
        records = rows[model].reset_index().to_dict("records")
        cells[model] = [
            _cell(source, model, {str(c): v for c, v in row.items()}, placed)
            for row, placed in zip(records, made[model].places, strict=True)
        ]
    first = made[source.models[0]]
    return Sheet(
        tile=size.tile,
        columns=min(len(indices), COLUMNS),
        width=first.width,
        height=first.height,
        sprites={model: one.uri for model, one in made.items()},
        pairs=tuple(
            Pair(int(index), {model: cells[model][k] for model in source.models})
            for k, index in enumerate(indices)
        ),
    )


def _pairs(source: PictureSource, prompt_id: str) -> dict[str, pd.DataFrame]:
    """Images joined with faces per model, indexed by the image's index, all models alike."""
    keys = ["prompt_id", "index", "model"]
    images = source.images[source.images["prompt_id"] == prompt_id]
    faces = source.faces[source.faces["prompt_id"] == prompt_id]
    if images.duplicated(keys).any() or faces.duplicated(keys).any():
        raise ArtifactError(
            f"The prompt '{prompt_id}' has two rows for one image",
            do="repeat generate_images, measure_images and evaluate_bias",
        )
    probabilities = [column for column in faces.columns if column.startswith("p_")]
    wanted = [*keys, "present", "x0", "y0", "x1", "y1", *source.space.names, *probabilities]
    joined = images[[*keys, "file"]].merge(faces[wanted], on=keys, how="inner")
    rows = {model: joined[joined["model"] == model].set_index("index") for model in source.models}
    shared = sorted(set.intersection(*(set(table.index) for table in rows.values())))
    if not shared:
        raise ArtifactError(
            f"The prompt '{prompt_id}' has no image that both models made from the same noise",
            do="generate base and aligned with the same prompts and indices",
        )
    return {model: table.loc[shared[: source.shown]] for model, table in rows.items()}


def _cell(source: PictureSource, model: str, row: dict[str, Any], placed: Placed) -> Cell:
    start = f"{model.capitalize()}, image {row['index']}: "
    if not bool(row["present"]):
        return Cell(placed.x, placed.y, None, (), (), start + "no face found")
    x0, y0, x1, y1 = (float(row[key]) * placed.scale for key in ("x0", "y0", "x1", "y1"))
    box = (x0 + placed.left, y0 + placed.top, x1 - x0, y1 - y0)
    classes = tuple(str(row[name]) for name in source.space.names)
    probabilities = tuple(
        tuple(float(row[f"p_{a.name}_{name}"]) for name in a.classes)
        for a in source.space.attributes
        if all(f"p_{a.name}_{name}" in row for name in a.classes)
    )
    if len(probabilities) < len(classes):
        probabilities = ()
    said = list(classes)
    for k, (attribute, of) in enumerate(zip(source.space.attributes, probabilities, strict=False)):
        said[k] = f"{classes[k]} ({of[attribute.classes.index(classes[k])]:.2f})"
    text = start + "perceived " + ", ".join(said)
    return Cell(placed.x, placed.y, box, classes, probabilities, text)
