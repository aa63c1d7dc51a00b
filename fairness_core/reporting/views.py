"""What the page's sections show: headline biases, tables of bars, prompts with pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.reporting.data import ReportData
from fairness_core.reporting.grids import Sheet, sheet
from fairness_core.reporting.shares import PromptShares, prompt_shares
from fairness_core.reporting.summary import GapRow, gap_rows, label_of

__all__ = [
    "BarRow",
    "BarTable",
    "Headline",
    "PromptView",
    "bar_tables",
    "headlines",
    "prompt_views",
]

OPEN_PROMPTS = 4


@dataclass(frozen=True)
class PromptView:
    """One prompt of the grids: its pictures and the gaps that its line states."""

    prompt_id: str
    subject: str
    prompt: str
    sheet: Sheet
    gaps: tuple[tuple[str, float | None, float | None], ...]
    opened: bool


@dataclass(frozen=True)
class BarRow:
    """One prompt of a table of bars."""

    prompt_id: str
    subject: str
    prompt: str
    base: PromptShares
    aligned: PromptShares


@dataclass(frozen=True)
class BarTable:
    """Bars of one attribute, or of several jointly, ordered by the base's gap.

    Attributes:
        key: Name that is unique on the page.
        label: Heading.
        shown: How many classes have a bar: of two classes only the first, as the other is the rest.
        opened: Whether the table is unfolded at first.
    """

    key: str
    label: str
    shown: int
    opened: bool
    rows: tuple[BarRow, ...]


@dataclass(frozen=True)
class Headline:
    """A bias of the headline with the axis it is drawn on.

    Attributes:
        row: The figures.
        limit: The bias when every face falls into one class: the right end of the axis.
        uniform: Whether the target asks for equal shares.
        trained: Whether training aligned this attribute, or all of these.
    """

    row: GapRow
    limit: float
    uniform: bool
    trained: bool


def headlines(data: ReportData) -> list[Headline]:
    """Every bias of the evaluation, those that training aligned first.

    Raises:
        ArtifactError: The evaluation holds no bias.
        ConfigError: It holds a bias of an attribute that the space does not have.
    """
    result = []
    for row in gap_rows(data.evaluation):
        names = row.key.split("_x_")
        space = data.space.subset(names)
        target = space.cell_target
        result.append(
            Headline(
                row=row,
                limit=2.0 / space.n_cells,
                uniform=max(target) - min(target) < 1e-9,
                trained=all(name in data.aligned for name in names),
            )
        )
    return sorted(result, key=lambda headline: not headline.trained)


def bar_tables(data: ReportData) -> list[BarTable]:
    """A table per attribute, the aligned ones first, and one of the aligned attributes jointly.

    Raises:
        ArtifactError: A face has a class that the space does not have.
    """
    faces = data.faces[data.faces["prompt_id"].isin(data.shown_prompts["prompt_id"])]
    names = sorted(data.space.names, key=lambda name: name not in data.aligned)
    groups: list[tuple[str, ...]] = [(name,) for name in names]
    if len(data.aligned) > 1:
        groups.append(tuple(data.aligned))
    tables = []
    for group in groups:
        shares = prompt_shares(faces, data.space, group)
        rows = [
            BarRow(p["prompt_id"], _subject(p), str(p["prompt"]), base, aligned)
            for p in _records(data)
            if (base := shares["base"].get(p["prompt_id"])) is not None
            and (aligned := shares["aligned"].get(p["prompt_id"])) is not None
        ]
        rows.sort(key=lambda row: -1.0 if row.base.gap is None else row.base.gap, reverse=True)
        classes = data.space.subset(group).n_cells
        tables.append(
            BarTable(
                key="-x-".join(group),
                label=label_of("_x_".join(group)),
                shown=1 if classes == 2 else classes,
                opened=len(group) == 1 and group[0] in data.aligned,
                rows=tuple(rows),
            )
        )
    return tables


def prompt_views(data: ReportData, tables: Sequence[BarTable]) -> list[PromptView]:
    """Prompts with pictures, ordered by the base's gap in the first aligned attribute."""
    aligned = [table for table in tables if table.opened] or list(tables[:1])
    gaps = {
        table.label: {row.prompt_id: (row.base.gap, row.aligned.gap) for row in table.rows}
        for table in aligned
    }
    places = {row.prompt_id: k for k, row in enumerate(aligned[0].rows)}
    pictured = set(data.images["prompt_id"])
    records = [
        row for row in _records(data) if row["prompt_id"] in pictured and row["prompt_id"] in places
    ]
    records.sort(key=lambda row: places[row["prompt_id"]])
    return [
        PromptView(
            prompt_id=str(row["prompt_id"]),
            subject=_subject(row),
            prompt=str(row["prompt"]),
            sheet=sheet(data, row["prompt_id"]),
            gaps=tuple((label, *of[row["prompt_id"]]) for label, of in gaps.items()),
            opened=k < OPEN_PROMPTS,
        )
        for k, row in enumerate(records)
    ]


def _records(data: ReportData) -> list[dict[str, Any]]:
    return [
        {str(key): value for key, value in row.items()}
        for row in data.shown_prompts.to_dict("records")
    ]


def _subject(row: Mapping[str, Any]) -> str:
    subject = row["subject"]
    return str(row["prompt"] if pd.isna(subject) or not subject else subject)
