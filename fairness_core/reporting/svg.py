"""Inline SVG drawn by hand: shares as bars, biases as lanes, curves, reliability.

Bars and lanes use percentages for x, so that they stretch with the page and their strokes and
markers do not. Colours come from the page's style sheet through class names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray

from fairness_core.reporting.summary import Estimate

__all__ = ["curve", "element", "gap_lane", "reliability_diagram", "share_bar", "ticks"]


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """One SVG element; a trailing underscore is dropped from names, others become hyphens."""
    written = []
    for key, value in attributes.items():
        shown = f"{value:.4g}" if isinstance(value, float) else value
        written.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    inner = Markup("").join(children)
    return Markup(f"<{name}{''.join(written)}>{inner}</{name}>")


def _at(share: float) -> str:
    return f"{100 * min(max(share, 0.0), 1.0):.2f}%"


def share_bar(model: str, item: Estimate, target: float | None) -> Markup:
    """A bar from 0 to the share with its interval as a whisker and the target as a line.

    Args:
        model: ``base`` or ``aligned``; sets the colour.
        item: A share in [0, 1] with its interval.
        target: The share asked for, in [0, 1]; None draws no line.
    """
    parts = [element("rect", class_="track", x="0", y="3", width="100%", height="10", rx="2")]
    if item.value is not None:
        parts.append(
            element("rect", class_=f"fill {model}", x="0", y="3", width=_at(item.value),
                    height="10", rx="2")
        )  # fmt: skip
    if item.low is not None and item.high is not None:
        low, high = _at(item.low), _at(item.high)
        parts.append(element("line", class_="halo", x1=low, x2=high, y1="8", y2="8"))
        parts.append(element("line", class_="whisker", x1=low, x2=high, y1="8", y2="8"))
        for end in (low, high):
            parts.append(element("line", class_="whisker", x1=end, x2=end, y1="5", y2="11"))
    if target is not None:
        x = _at(target)
        parts.append(element("line", class_="target", x1=x, x2=x, y1="0", y2="16"))
    return element("svg", *parts, class_="bar", width="100%", height="16", aria_hidden="true")


def gap_lane(model: str, item: Estimate, floor: float | None, limit: float) -> Markup:
    """A point with its interval on an axis from 0 to `limit`, the floor as a shaded stretch.

    Args:
        model: ``base`` or ``aligned``; sets colour and marker.
        item: A bias in [0, limit].
        floor: The fair sampler's bias; None shades nothing.
        limit: The bias when every image falls into one class.
    """
    parts = [element("line", class_="axis", x1="0", x2="100%", y1="14", y2="14")]
    if floor is not None:
        x = _at(floor / limit)
        parts.insert(0, element("rect", class_="floor", x="0", y="0", width=x, height="28"))
        parts.append(element("line", class_="floor-line", x1=x, x2=x, y1="0", y2="28"))
    if item.low is not None and item.high is not None:
        low, high = _at(item.low / limit), _at(item.high / limit)
        parts.append(element("line", class_=f"reach {model}", x1=low, x2=high, y1="14", y2="14"))
    if item.value is not None:
        x = _at(item.value / limit)
        parts.append(element("circle", class_=f"point {model}", cx=x, cy="14", r="6"))
    return element("svg", *parts, class_="lane", width="100%", height="28", aria_hidden="true")


def ticks(top: float, bottom: float = 0.0, wanted: int = 4) -> NDArray[np.float64]:
    """Round values of an axis between two ends, about as many as wanted."""
    raw = (top - bottom) / wanted
    power = 10.0 ** np.floor(np.log10(raw))
    step = min((s * power for s in (1, 2, 2.5, 5, 10)), key=lambda s: abs(s - raw))
    start = np.ceil(bottom / step - 1e-9)
    found: NDArray[np.float64] = np.arange(start, np.floor(top / step + 1e-9) + 1) * step
    return found


def curve(x: ArrayLike, y: ArrayLike, *, label: str, smooth: int = 1) -> Markup:
    """One training curve: the raw values faint, their centred moving mean on top.

    Args:
        x: Iterations, shape (n,), increasing.
        y: Values, shape (n,); not finite ones are left out.
        label: Read out by screen readers before the figures.
        smooth: Width of the moving mean in iterations.
    """
    at, values = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    keep = np.isfinite(values)
    at, values = at[keep], values[keep]
    if not len(values):
        return Markup("<p>This column holds no finite value.</p>")
    width, height, left, bottom = 320.0, 150.0, 44.0, 24.0
    low, high = min(0.0, float(values.min())), float(values.max())
    if high <= low:
        high = low + 1.0
    span = max(float(at[-1] - at[0]), 1.0)

    def place(points: NDArray[np.float64]) -> str:
        xs = left + (at - at[0]) / span * (width - left - 8)
        ys = 8 + (high - points) / (high - low) * (height - bottom - 8)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))

    parts = []
    for tick in ticks(high, low):
        y_at = float(8 + (high - tick) / (high - low) * (height - bottom - 8))
        parts.append(element("line", class_="grid", x1=left, x2=width - 8, y1=y_at, y2=y_at))
        parts.append(element("text", f"{tick + 0.0:g}", x=left - 6, y=y_at + 4, text_anchor="end"))
    for value, anchor, x_at in ((at[0], "start", left), (at[-1], "end", width - 8)):
        parts.append(element("text", f"{value:g}", x=float(x_at), y=height - 6, text_anchor=anchor))
    parts.append(
        element("text", "iteration", x=(left + width) / 2, y=height - 6, text_anchor="middle")
    )
    parts.append(element("polyline", class_="raw", points=place(values)))
    if smooth > 1:
        ones = np.ones(min(smooth, len(values)))
        mean = np.convolve(values, ones, "same") / np.convolve(np.ones(len(values)), ones, "same")
        parts.append(element("polyline", class_="mean", points=place(mean)))
    first, last = (float(part.mean()) for part in (values[:smooth], values[-smooth:]))
    spoken = f"{label}: {first:.3g} at the start, {last:.3g} at the end, {len(values)} values."
    return element(
        "svg", *parts, class_="curve", viewBox=f"0 0 {width:g} {height:g}", role="img",
        aria_label=spoken,
    )  # fmt: skip


def reliability_diagram(points: Sequence[Mapping[str, float]], *, label: str) -> Markup:
    """Accuracy against stated confidence per bin; the dot's area grows with the bin's count.

    Args:
        points: Bins with ``confidence`` and ``accuracy`` in [0, 1] and ``count``; empty bins
            are left out.
        label: Read out by screen readers before the bins.
    """
    size, left, bottom = 240.0, 40.0, 36.0
    room = size - left - 10

    def place(confidence: float, accuracy: float) -> tuple[float, float]:
        return left + confidence * room, size - bottom - accuracy * (size - bottom - 10)

    parts = []
    for tick in (0.0, 0.5, 1.0):
        (x, zero), (_, y) = place(tick, 0.0), place(0.0, tick)
        parts.append(element("line", class_="grid", x1=left, x2=left + room, y1=y, y2=y))
        parts.append(element("text", f"{tick:g}", x=left - 6, y=y + 4, text_anchor="end"))
        parts.append(element("text", f"{tick:g}", x=x, y=zero + 15, text_anchor="middle"))
    (x0, y0), (x1, y1) = place(0.0, 0.0), place(1.0, 1.0)
    parts.append(element("line", class_="ideal", x1=x0, y1=y0, x2=x1, y2=y1))
    full = [p for p in points if p["count"] > 0]
    most = max((p["count"] for p in full), default=1.0)
    for p in full:
        x, y = place(p["confidence"], p["accuracy"])
        radius = float(3 + 6 * np.sqrt(p["count"] / most))
        parts.append(element("circle", class_="bin", cx=x, cy=y, r=radius))
    parts.append(element("text", "confidence", x=left + room / 2, y=size - 5, text_anchor="middle"))
    parts.append(
        element("text", "accuracy", x=0.0, y=0.0, text_anchor="middle",
                transform=f"translate(11 {(size - bottom + 10) / 2:g}) rotate(-90)")
    )  # fmt: skip
    spoken = "; ".join(
        f"confidence {p['confidence']:.2f}: accuracy {p['accuracy']:.2f} of {p['count']:.0f}"
        for p in full
    )
    return element(
        "svg", *parts, class_="reliability", viewBox=f"0 0 {size:g} {size:g}", role="img",
        aria_label=f"{label}. {spoken or 'No bin holds a face'}.",
    )  # fmt: skip
