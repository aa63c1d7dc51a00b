"""The before/after table for a terminal, a README and the model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fairness_core.reporting.checks import named_checks, quality_checks
from fairness_core.reporting.summary import Estimate, gap_rows, interval_text, number, percent

__all__ = ["before_after_markdown", "before_after_table", "before_after_text", "caption"]

HEADER = ("", "base", "aligned", "fair-sampler floor", "distance to floor removed")
NARROW = ("", "base", "aligned", "fair-sampler\nfloor", "distance to\nfloor removed")


def before_after_table(evaluation: Mapping[str, Any]) -> Table:
    """Bias and quality of base and aligned as a rich table, the floor beside each bias.

    Raises:
        ArtifactError: A model is missing from the evaluation.
    """
    table = Table(
        box=box.SIMPLE_HEAD,
        caption=caption(evaluation),
        caption_justify="left",
        pad_edge=False,
        collapse_padding=True,
    )
    for index, name in enumerate(NARROW):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for group in (_gap_cells(evaluation), _quality_cells(evaluation)):
        table.add_section()
        for cells in group:
            table.add_row(*(_two_lines(cell) for cell in cells))
    return table


def before_after_text(evaluation: Mapping[str, Any]) -> str:
    """The same as aligned plain text, for logs and pipes; no trailing newline.

    Raises:
        ArtifactError: A model is missing from the evaluation.
    """
    rows = [HEADER, *_gap_cells(evaluation), *_quality_cells(evaluation)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", caption(evaluation)])


def before_after_markdown(evaluation: Mapping[str, Any]) -> str:
    """The same as a markdown table with its caption below; no trailing newline.

    Raises:
        ArtifactError: A model is missing from the evaluation.
    """
    rows = [*_gap_cells(evaluation), *_quality_cells(evaluation)]
    lines = [HEADER, ("---", *["---:"] * (len(HEADER) - 1)), *rows]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{body}\n\n{caption(evaluation)}"


def caption(evaluation: Mapping[str, Any]) -> str:
    """What the figures are: metric, sample size, interval and floor, in two sentences."""
    prompts, images = evaluation.get("n_prompts"), evaluation.get("images_per_prompt")
    sample = f" over {prompts} held-out prompts" if prompts else ""
    each = f" of {images} images each" if images else ""
    return (
        f"Bias: mean gap between the shares of perceived classes{sample}{each}; brackets hold "
        "95 % intervals. Floor: what a sampler that draws exactly from the target would score "
        "at this sample size."
    )


def _two_lines(cell: str) -> Text:
    """What follows the figure or the name on a second line: fits into 80 columns."""
    value, bracket, rest = cell.partition(" [")
    if bracket:
        return Text.assemble(value, ("\n[" + rest, "dim"))
    return Text(cell.replace(" base, ", " base\n").replace(" bias", "\nbias"))


def _cell(item: Estimate, *, as_percent: bool = False, digits: int = 3) -> str:
    value = percent(item.value) if as_percent else number(item.value, digits)
    if item.value is None or item.low is None:
        return value
    return f"{value} [{interval_text(item, as_percent=as_percent).replace(' to ', ', ')}]"


def _gap_cells(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            f"{row.label} bias",
            _cell(row.base),
            _cell(row.aligned),
            row.floor_text,
            _cell(row.reduction, as_percent=True),
        )
        for row in gap_rows(evaluation)
    ]


def _quality_cells(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows = []
    for row in quality_checks(evaluation):
        digits = 0 if row.key == "seconds" else 3
        texts = [
            "-" if item.value is None else _cell(item, digits=digits)
            for item in (row.base, row.aligned)
        ]
        rows.append((row.label, *texts, "", ""))
    for row in named_checks(evaluation)[:1]:
        rows.append(("attribute kept", _cell(row.base), _cell(row.aligned), "", ""))
    return rows
