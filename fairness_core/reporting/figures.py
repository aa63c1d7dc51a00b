"""The report's figures as files for papers and slides: SVG, PDF or PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fairness_core.errors import ConfigError
from fairness_core.reporting.data import MODELS, ReportData
from fairness_core.reporting.measured import Curve, curves
from fairness_core.reporting.robustness import AXES
from fairness_core.reporting.summary import Estimate, gap_rows, label_of
from fairness_core.reporting.views import BarTable, Headline, bar_tables, headlines
from fairness_core.runtime.artifacts import atomic_file

__all__ = ["FORMATS", "write_figures"]

FORMATS = ("svg", "pdf", "png")
# Told apart in every kind of colour blindness, and by their markers in print.
COLOURS = {"base": "#d55e00", "aligned": "#0072b2"}
MARKERS = {"base": "s", "aligned": "o"}
INK, SOFT, FLOOR = "#1c1b19", "#6b675f", "#d9d5ca"
STYLE = {
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": SOFT,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "xtick.color": SOFT, "ytick.color": SOFT, "svg.fonttype": "path", "pdf.fonttype": 42,
    # Names inside the files are drawn at random unless they are salted.
    "svg.hashsalt": "evenhand",
}  # fmt: skip
DOTS_PER_INCH = 200
# Nothing in a file may depend on when it was written.
METADATA: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def write_figures(data: ReportData, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw biases, shares per prompt, training curves and sweeps, one file each and format.

    Args:
        data: Its images are not read.
        folder: Made where it is missing.
        formats: Of ``svg``, ``pdf`` and ``png`` (200 dots per inch).

    Returns:
        The files written. The same data give the same files, to the byte.

    Raises:
        ArtifactError: The evaluation holds no bias.
        ConfigError: Another format.
    """
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown:
        raise ConfigError(
            "Figures are not written in that format",
            given=", ".join(unknown),
            do=f"choose among {', '.join(FORMATS)}",
        )
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for name, figure in _figures(data):
            FigureCanvasAgg(figure)
            for kind in formats:
                path = folder / f"{name}.{kind}"
                with atomic_file(path) as partial:
                    figure.savefig(partial, format=kind, dpi=DOTS_PER_INCH, metadata=METADATA[kind])
                written.append(path)
    return written


def _figures(data: ReportData) -> Iterator[tuple[str, Figure]]:
    yield "bias", _bias(headlines(data))
    tables = bar_tables(
        data.faces, data.shown_prompts, data.space, models=MODELS, first=data.aligned
    )
    for table in tables:
        if table.rows:
            yield f"shares-{table.key}", _shares(table)
    logged = curves(data.training)
    if logged:
        yield "training", _training(logged)
    for axis, points in ((data.evaluation.get("sweeps") or {}).get("axes") or {}).items():
        yield f"sweep-{axis}", _sweep(axis, points)


def _error(item: Estimate) -> tuple[float, float]:
    if item.value is None or item.low is None or item.high is None:
        return 0.0, 0.0
    return max(item.value - item.low, 0.0), max(item.high - item.value, 0.0)


def _mark(axis: Any, model: str, x: float, y: float, item: Estimate, *, across: bool) -> None:
    """A point with its interval, lying or upright."""
    low, high = _error(item)
    error = {"xerr" if across else "yerr": [[low], [high]]}
    axis.errorbar(
        x, y, **error, color=COLOURS[model], marker=MARKERS[model], ms=5, lw=1.6, capsize=2
    )


def _bias(found: Sequence[Headline]) -> Figure:
    figure = Figure(figsize=(6.4, 0.9 + 0.72 * len(found)), layout="constrained")
    axis = figure.subplots()
    for k, headline in enumerate(found):
        row, limit = headline.row, headline.limit
        for model, item, floor, aside in (
            ("base", row.base, row.floors[0], 0.16),
            ("aligned", row.aligned, row.floors[1], -0.16),
        ):
            y = len(found) - 1 - k + aside
            if floor is not None:
                axis.barh(y, floor / limit, height=0.33, color=FLOOR, lw=0)
            if item.value is not None:
                ends = [None if e is None else e / limit for e in (item.low, item.high)]
                scaled = Estimate(item.value / limit, *ends)
                _mark(axis, model, item.value / limit, y, scaled, across=True)
                axis.annotate(
                    f"{item.value:.3f}", (item.value / limit, y), (0, 5), fontsize=7, color=SOFT,
                    ha="center", textcoords="offset points",
                )  # fmt: skip
    names = [h.row.label + ("" if h.trained else " (not aligned)") for h in reversed(found)]
    axis.set_yticks(range(len(found)), names)
    axis.set_xlim(0, 1.02)
    axis.set_xlabel("bias, as a share of what one class only would give; grey: fair-sampler floor")
    _legend(figure)
    return figure


def _legend(figure: Figure) -> None:
    marks = [
        Line2D([], [], color=COLOURS[m], marker=MARKERS[m], ms=5, lw=1.6, label=m) for m in MODELS
    ]
    figure.legend(handles=marks, frameon=False, fontsize=8, loc="outside upper right", ncols=2)


def _shares(table: BarTable) -> Figure:
    names = [share.name for share in table.rows[0].shares[MODELS[0]].classes[: table.shown]]
    rows = list(reversed(table.rows))
    size = (min(2.3 + 2.1 * len(names), 12.0), 1.1 + 0.26 * len(rows))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for c, axis in enumerate(axes):
        for k, row in enumerate(rows):
            for model, aside in (("base", 0.14), ("aligned", -0.14)):
                item = row.shares[model].classes[c].estimate
                if item.value is not None:
                    _mark(axis, model, item.value, k + aside, item, across=True)
        target = rows[0].shares[MODELS[0]].classes[c].target
        axis.axvline(target, color=INK, lw=1)
        axis.set_xlim(-0.02, 1.02)
        axis.set_title(names[c])
        axis.grid(axis="y", color="#eceae3", lw=0.6)
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(-0.6, len(rows) - 0.4)
    axes[0].set_yticks(range(len(rows)), [row.subject for row in rows])
    figure.supxlabel("share of the faces found, 95 % Wilson intervals; line: target", fontsize=8)
    _legend(figure)
    return figure


def _training(found: Sequence[Curve]) -> Figure:
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = Figure(figsize=(2.9 * columns, 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, item in zip(axes, found, strict=False):
        axis.plot(item.x, item.y, color=COLOURS["aligned"], lw=0.6, alpha=0.4)
        window = np.ones(min(item.smooth, len(item.y)))
        weight = np.convolve(np.ones(len(item.y)), window, "same")
        mean = np.convolve(item.y, window, "same") / weight
        axis.plot(item.x, mean, color=COLOURS["aligned"], lw=1.6)
        axis.set_title(item.label, fontsize=8)
    for axis in axes[len(found) :]:
        axis.set_axis_off()
    figure.supxlabel("iteration; thick: moving mean", fontsize=8)
    return figure


def _sweep(axis_name: str, points: Sequence[Mapping[str, Any]]) -> Figure:
    rows = [{row.key: row for row in gap_rows(point)} for point in points]
    keys = [key for key in rows[0] if all(key in of for of in rows)]
    figure = Figure(figsize=(2.7 * len(keys), 2.5), layout="constrained")
    axes = figure.subplots(1, len(keys), squeeze=False)[0]
    values = [point["value"] for point in points]
    numeric = all(isinstance(value, int | float) for value in values)
    at = values if numeric else list(range(len(values)))
    for axis, key in zip(axes, keys, strict=True):
        floors = [np.nan if of[key].floors[1] is None else of[key].floors[1] for of in rows]
        axis.plot(at, floors, color=SOFT, lw=1, ls="--")
        for model in MODELS:
            line = [of[key].base if model == "base" else of[key].aligned for of in rows]
            axis.plot(at, [i.value for i in line], color=COLOURS[model], lw=1.2)
            for x, item in zip(at, line, strict=True):
                if item.value is not None:
                    _mark(axis, model, x, item.value, item, across=False)
        if not numeric:
            axis.set_xticks(at, [str(value) for value in values], rotation=30, ha="right")
        axis.set_ylim(bottom=0)
        axis.set_title(label_of(key))
    axes[0].set_ylabel("bias")
    figure.supxlabel(f"{AXES.get(axis_name, axis_name)}; dashed: fair-sampler floor", fontsize=8)
    _legend(figure)
    return figure
