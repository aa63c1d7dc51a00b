"""What the page's sections show: headline biases, mean shares, tables of bars per prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.reporting.data import ReportData
from fairness_core.reporting.shares import PromptShares, prompt_shares
from fairness_core.reporting.summary import GapRow, gap_rows, label_of

__all__ = ["BarRow", "BarTable", "Headline", "bar_tables", "headlines", "records_of", "subject_of"]


@dataclass(frozen=True)
class BarRow:
    """One prompt of a table of bars.

    Attributes:
        prompt_id: Its id.
        subject: Its short name.
        prompt: Its text.
        shares: By model, in the page's order.
    """

    prompt_id: str
    subject: str
    prompt: str
    shares: Mapping[str, PromptShares]

    @property
    def misses(self) -> bool:
        """Whether an interval of the last model leaves out the target of its class."""
        last = list(self.shares.values())[-1]
        return any(
            share.estimate.low is not None
            and share.estimate.high is not None
            and not share.estimate.low <= share.target <= share.estimate.high
            for share in last.classes
        )

    @property
    def change(self) -> float | None:
        """Gap of the last model minus that of the first."""
        gaps = [shares.gap for shares in self.shares.values()]
        return None if gaps[0] is None or gaps[-1] is None else gaps[-1] - gaps[0]


@dataclass(frozen=True)
class BarTable:
    """Bars of one attribute, or of several jointly, ordered by the first model's gap.

    Attributes:
        key: Name that is unique on the page.
        label: Heading.
        shown: How many classes have a bar: of two classes only the first, as the other is the rest.
        opened: Whether the table is unfolded at first.
        rows: One for each prompt.
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


def bar_tables(
    faces: pd.DataFrame,
    prompts: pd.DataFrame,
    space: AttributeSpace,
    *,
    models: Sequence[str],
    first: Sequence[str],
) -> list[BarTable]:
    """A table per attribute, those of ``first`` first and unfolded, and one of these jointly.

    Args:
        faces: Faces of these prompts and models.
        prompts: Columns prompt_id, prompt and subject.
        space: The measured attributes.
        models: In the order shown.
        first: Attributes that the page is mainly about.

    Raises:
        ArtifactError: A face has a class that the space does not have.
    """
    faces = faces[faces["prompt_id"].isin(prompts["prompt_id"])]
    names = sorted(space.names, key=lambda name: name not in first)
    groups: list[tuple[str, ...]] = [(name,) for name in names]
    if len(first) > 1:
        groups.append(tuple(first))
    tables = []
    for group in groups:
        found = prompt_shares(faces, space, group, models)
        rows = [
            BarRow(
                p["prompt_id"],
                subject_of(p),
                str(p["prompt"]),
                {model: found[model][p["prompt_id"]] for model in models},
            )
            for p in records_of(prompts)
            if all(p["prompt_id"] in found[model] for model in models)
        ]
        rows.sort(key=lambda row: _or_least(row.shares[models[0]].gap), reverse=True)
        classes = space.subset(group).n_cells
        tables.append(
            BarTable(
                key="-x-".join(group),
                label=label_of("_x_".join(group)),
                shown=1 if classes == 2 else classes,
                opened=len(group) == 1 and group[0] in first,
                rows=tuple(rows),
            )
        )
    return tables


def _or_least(gap: float | None) -> float:
    return -1.0 if gap is None else gap


def records_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries, in order."""
    return [{str(k): value for k, value in row.items()} for row in table.to_dict("records")]


def subject_of(row: Mapping[str, Any]) -> str:
    """A prompt's short name; its text where it has none."""
    subject = row.get("subject")
    return str(row["prompt"] if subject is None or pd.isna(subject) or not subject else subject)
