"""Mean shares over prompts, of single attributes and of the cells of two, as small tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairness_core.attributes import AttributeSpace
from fairness_core.reporting.summary import Estimate, estimate, label_of

__all__ = ["JointCell", "JointTable", "joint_tables"]


@dataclass(frozen=True)
class JointCell:
    """Share of one class, or of one cell of two attributes.

    Attributes:
        shares: By model; with an interval where the figures hold one.
        target: Share asked for.
    """

    shares: Mapping[str, Estimate]
    target: float


@dataclass(frozen=True)
class JointTable:
    """Mean shares of a group.

    Attributes:
        label: Its name.
        top: Over the columns: classes of the last attribute.
        side: Beside the rows: classes of the first of two; one empty name for a single one.
        cells: Row by row.
    """

    label: str
    top: tuple[str, ...]
    side: tuple[str, ...]
    cells: tuple[tuple[JointCell, ...], ...]


def joint_tables(
    figures: Mapping[str, Any], space: AttributeSpace, models: Sequence[str]
) -> list[JointTable]:
    """A table for every group of one or two attributes whose shares the figures hold.

    Args:
        figures: By model, the figures of ``parity_figures`` by group.
        space: Gives classes and targets.
        models: In the order shown.
    """
    tables = []
    for key, entry in figures[models[0]].items():
        names = key.split("_x_")
        if not isinstance(entry, Mapping) or not entry.get("shares") or len(names) > 2:
            continue
        if any(name not in space.names for name in names):
            continue
        part = space.subset(names)
        cells = [
            JointCell({m: _share(figures[m].get(key), cell) for m in models}, target)
            for cell, target in zip(part.cell_names, part.cell_target, strict=True)
        ]
        top = part.attributes[-1].classes
        side = part.attributes[0].classes if len(names) == 2 else ("",)
        rows = tuple(tuple(cells[k : k + len(top)]) for k in range(0, len(cells), len(top)))
        tables.append(JointTable(label_of(key), top, side, rows))
    return tables


def _share(entry: Mapping[str, Any] | None, cell: str) -> Estimate:
    if not entry:
        return Estimate(None)
    ends = (entry.get("shares_ci95") or {}).get(cell)
    return estimate({"value": entry.get("shares", {}).get(cell), "ci95": ends})
