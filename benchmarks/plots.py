"""Drawings of the benchmarks' figures, from the JSON files that the benchmarks wrote.

Run from the repository's root: ``python -m benchmarks.plots``; it measures nothing. The same
figures give the same SVG files, to the byte. ``benchmarks.bias_against_compute`` draws its own with
its figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

from benchmarks.measure import RESULTS, say

__all__ = ["PLOTS", "figure", "write"]

# Told apart in every kind of colour blindness.
OURS, OTHER, THIRD = "#0072b2", "#d55e00", "#009e73"
MARKERS = "os^Dv<"
# Names inside an SVG file are drawn at random unless they are salted.
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
SALT = {"svg.hashsalt": "evenhand"}
TARGET_MS = 50.0  # of N = 64 with K = 16: ``benchmarks.transport``


def figure(width: float = 8.0, height: float = 3.4) -> Figure:
    """An empty drawing, inches."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(made)
    return made


def write(drawing: Figure, path: Path) -> Path:
    """Write a drawing as SVG, without date and program."""
    with mpl.rc_context(SALT):
        drawing.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    return path


def bars(
    axes: Axes, values: Mapping[str, float], *, label: str, shown: str, colours: Sequence[str]
) -> None:
    """Horizontal bars in reading order, each with its value."""
    names = list(values)
    drawn = axes.barh(names, list(values.values()), color=colours, height=0.65)
    axes.bar_label(drawn, [shown.format(value) for value in values.values()], padding=3)
    axes.invert_yaxis()
    axes.set(xlabel=label, xlim=(0, 1.18 * max(values.values())))
    axes.tick_params(axis="y", length=0)


def powers(axes: Axes, *, x: Sequence[int]) -> None:
    """Logarithmic axes, with plain numbers at the places measured."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(x)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yscale("log")
    axes.grid(alpha=0.3)


def step(found: Mapping[str, Any]) -> Figure:
    """(a) Seconds and peak memory of an iteration: the published step, and ours."""
    rows = {name.replace("reference", "published"): row for name, row in found["rows"].items()}
    # The time by which the variants are compared; files from before there was another lack it.
    unit = found.get("compared", "cpu_seconds")
    said = unit.replace("_", " ").replace("cpu", "CPU") + " an iteration"
    colours = {name: OTHER if name.startswith("published") else OURS for name in rows}
    made = figure(9.0, 3.0)
    left, right = made.subplots(1, 2)
    timed = {name: row[unit] for name, row in rows.items() if unit in row}
    title = f"{found['images']} images, {found['steps']} sampling steps"
    bars(left, timed, label=said, shown="{:.2f}", colours=[colours[name] for name in timed])
    left.set_title(title, fontsize=9, loc="left")
    taken = {name: row["peak_mib"] for name, row in rows.items()}
    label = "peak memory above the weights, MiB"
    bars(right, taken, label=label, shown="{:.0f}", colours=[colours[name] for name in taken])
    return made


def gradient_memory(found: Mapping[str, Any]) -> Figure:
    """(b) Peak memory against sampling steps, and against images."""
    mib, made = found["mib"], figure()
    left, right = made.subplots(1, 2)
    styles = {
        left: {"plain graph, steps": "plain graph", "products, steps": "per-step products"},
        right: {name: name for name in mib if "steps" not in name},
    }
    for axes, names in styles.items():
        for name, said in names.items():
            values = {int(at): value for at, value in mib[name].items()}
            colour = OTHER if said in ("plain graph", "all images at once") else OURS
            axes.plot(list(values), list(values.values()), "o-", color=colour, label=said)
        axes.set(ylim=(0, None), ylabel="peak memory above the weights, MiB")
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    left.set(xlabel="sampling steps, 4 images", xlim=(0, None))
    right.set(xlabel="images, 10 sampling steps", xlim=(0, None))
    return made


def transport(found: Mapping[str, Any]) -> Figure:
    """(d) Time of the targets against images, for each number of classes."""
    made, table = figure(6.5, 4.0), found["cpu_seconds"]
    axes = made.subplots()
    images = [int(n) for n in table]
    for i, k in enumerate(next(iter(table.values()))):
        taken = [1e3 * row[k] for row in table.values()]
        axes.plot(images, taken, f"{MARKERS[i % len(MARKERS)]}-", label=f"K = {k}", markersize=4)
    powers(axes, x=images)
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.axhline(TARGET_MS, color="gray", linestyle="--", linewidth=1)
    axes.annotate("limit for N = 64, K = 16", (images[0], TARGET_MS * 1.1), color="gray")
    axes.set(xlabel="images N", ylabel=f"CPU ms, {found['draws']} draws")
    axes.legend(title="classes", frameon=False, loc="lower right")
    return made


def throughput(found: Mapping[str, Any]) -> Figure:
    """(e), (f) Images a second, in a batch and one by one."""
    rows, made = found["rows"], figure(7.5, 3.6)
    axes, names, places = made.subplots(), list(rows), range(len(rows))
    key = next(key for key in next(iter(rows.values())) if key.startswith("images_per_"))
    batch = f"batch of {found['images']}"
    for shift, what, said, colour in ((-0.2, key, batch, OURS), (0.2, "one_by_one", None, OTHER)):
        values = [row[what] for row in rows.values()]
        drawn = axes.barh(
            [place + shift for place in places],
            values,
            height=0.38,
            color=colour,
            label=said or "one by one",
        )
        axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    most = max(row[key] for row in rows.values())
    axes.set(xscale="log", xlim=(1, 4 * most), xlabel=key.replace("_", " ").replace("cpu", "CPU"))
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, loc="lower right")
    return made


def processes(found: Mapping[str, Any]) -> Figure:
    """(g) Images a second by processes, beside as many times those of one."""
    made, seconds = figure(5.0, 3.0), {int(n): taken for n, taken in found["seconds"].items()}
    axes, rates = made.subplots(), {n: found["images"] / taken for n, taken in seconds.items()}
    drawn = axes.bar([str(n) for n in rates], list(rates.values()), color=OURS, width=0.5)
    one = rates[1]
    labels = [f"{rate:.2f}\n{rate / one:.2f}x" for rate in rates.values()]
    axes.bar_label(drawn, labels, label_type="center", color="white")
    ideal = [n * one for n in rates]
    axes.plot(range(len(rates)), ideal, "_", color="gray", markersize=70, label="as many times one")
    axes.set(xlabel="processes, one thread each", ylabel="images a second")
    axes.set(ylim=(0, 1.35 * max(ideal)), xlim=(-0.6, len(rates) - 0.4))
    axes.legend(frameon=False, loc="upper left", markerscale=0.3)
    return made


def planned_memory(found: Mapping[str, Any]) -> Figure:
    """Peak memory as planned, and as measured."""
    rows, made = found["rows"], figure(7.0, 3.2)
    axes, places = made.subplots(), range(len(rows))
    pairs = ((-0.2, "planned_mib", "planned", THIRD), (0.2, "measured_mib", "measured", OURS))
    for shift, key, said, colour in pairs:
        values = [row[key] for row in rows.values()]
        at = [place + shift for place in places]
        drawn = axes.barh(at, values, height=0.38, color=colour, label=said)
        axes.bar_label(drawn, [f"{value:.1f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    most = max(row["measured_mib"] for row in rows.values())
    label = f"peak memory above the weights, {found['images']} images, MiB"
    axes.set(xlim=(0, 1.25 * most), xlabel=label)
    axes.tick_params(axis="y", length=0)
    axes.legend(frameon=False, loc="lower right")
    return made


def layouts(found: Mapping[str, Any]) -> Figure:
    """How many times as fast a call is with one thing changed."""
    rows, made = found["rows"], figure(9.0, 2.8)
    timed = [name for name, row in next(iter(rows.values())).items() if isinstance(row, Mapping)]
    for axes, what in zip(made.subplots(1, len(timed), sharey=True), timed, strict=True):
        values = {name: row[what]["times_faster"] for name, row in rows.items()}
        colours = [OURS, *[OTHER] * (len(values) - 1)]
        bars(axes, values, label="times as fast", shown="{:.2f}", colours=colours)
        axes.set_title(what, fontsize=9, loc="left")
        # bars() turns its own axis, and these share theirs.
        axes.set_ylim(len(values) - 0.5, -0.5)
    return made


PLOTS: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "step": step,
    "gradient_memory": gradient_memory,
    "transport": transport,
    "throughput": throughput,
    "processes": processes,
    "planned_memory": planned_memory,
    "layouts": layouts,
}


def main() -> int:
    """Draw every file of figures that there is a drawing for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--out", type=Path, help="folder of the drawings [default: the same]")
    arguments = parser.parse_args()
    folder = arguments.out or arguments.figures
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        path = arguments.figures / f"{name}.json"
        if not path.is_file():
            say(f"there are no figures in {path}")
            continue
        with mpl.rc_context(STYLE):
            drawing = draw(json.loads(path.read_text(encoding="utf-8")))
            say(f"wrote {write(drawing, folder / f'{name}.svg')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
