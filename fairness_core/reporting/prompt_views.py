"""Prompts with their pictures: what the page shows at once, and the rest as data for its script."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from fairness_core.attributes import AttributeSpace
from fairness_core.reporting.data import PictureSource
from fairness_core.reporting.grids import Cell, Sheet, sheet, tile_size
from fairness_core.reporting.views import BarTable, records_of, subject_of

__all__ = ["AT_ONCE", "PromptView", "picture_data", "prompt_views"]

OPEN_PROMPTS = 4
AT_ONCE = 8


@dataclass(frozen=True)
class PromptView:
    """One prompt of the grids: its pictures and the gaps that its line states.

    Attributes:
        prompt_id: Its id.
        subject: Its short name.
        prompt: Its text.
        sheet: Its pictures.
        gaps: Label of each main attribute, and its gap by model.
        change: Gap of the last model minus that of the first, in the first of these.
        misses: Whether an interval of the last model leaves out a target of these attributes.
        opened: Whether it is unfolded at first.
    """

    prompt_id: str
    subject: str
    prompt: str
    sheet: Sheet
    gaps: tuple[tuple[str, dict[str, float | None]], ...]
    change: float | None
    misses: bool
    opened: bool


def prompt_views(
    source: PictureSource, prompts: pd.DataFrame, tables: Sequence[BarTable]
) -> list[PromptView]:
    """Prompts with pictures, ordered by the first model's gap in the first table.

    Args:
        source: Images and faces.
        prompts: Columns prompt_id, prompt and subject.
        tables: From ``bar_tables``; those unfolded give the gaps.

    Raises:
        ArtifactError: An image cannot be read, or the tables do not fit together.
    """
    main = [table for table in tables if table.opened] or list(tables[:1])
    rows = {table.label: {row.prompt_id: row for row in table.rows} for table in main}
    places = {row.prompt_id: k for k, row in enumerate(main[0].rows)}
    pictured = set(source.images["prompt_id"])
    records = [r for r in records_of(prompts) if r["prompt_id"] in pictured & set(places)]
    records.sort(key=lambda row: places[row["prompt_id"]])
    if not records:
        return []
    size = tile_size(source, [str(row["prompt_id"]) for row in records])
    views = []
    for k, row in enumerate(records):
        name = str(row["prompt_id"])
        own = {label: of[name] for label, of in rows.items() if name in of}
        views.append(
            PromptView(
                prompt_id=name,
                subject=subject_of(row),
                prompt=str(row["prompt"]),
                sheet=sheet(source, name, size),
                gaps=tuple(
                    (label, {model: shares.gap for model, shares in bar.shares.items()})
                    for label, bar in own.items()
                ),
                change=next(iter(own.values())).change,
                misses=any(bar.misses for bar in own.values()),
                opened=k < OPEN_PROMPTS,
            )
        )
    return views


def picture_data(
    views: Sequence[PromptView], space: AttributeSpace, models: Sequence[str]
) -> Markup:
    """Every picture's box, classes and probabilities as JSON that is safe inside a script.

    Per prompt and model one row for each picture: 0 without a face, else the box as x, y, width
    and height in thousandths of the tile, the index of each attribute's class, and, where there
    are any, the probabilities of every class of every attribute in percent.
    """
    grids = [
        {
            "tile": view.sheet.tile,
            "window": view.sheet.window,
            "columns": view.sheet.columns,
            "indices": [pair.index for pair in view.sheet.pairs],
            "rows": {
                model: [
                    _row(pair.cells[model], space, view.sheet.tile) for pair in view.sheet.pairs
                ]
                for model in models
            },
        }
        for view in views
    ]
    content = {
        "models": list(models),
        "attributes": [[a.name.replace("_", " "), list(a.classes)] for a in space.attributes],
        "grids": grids,
    }
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=True)
    # Nothing in a script can end it.
    return Markup(text.replace("<", "\\u003c"))


def _row(cell: Cell, space: AttributeSpace, tile: int) -> Any:
    if cell.box is None:
        return 0
    box = [round(1000 * edge / tile) for edge in cell.box]
    classes = [
        a.classes.index(name) for a, name in zip(space.attributes, cell.classes, strict=True)
    ]
    sure = [p for of in cell.probabilities for p in of]
    return [*box, *classes, *(-1 if math.isnan(p) else round(100 * p) for p in sure)]
