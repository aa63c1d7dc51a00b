"""A bias over guidance, steps or samplers, as inline SVG: both models, intervals, floors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup

from fairness_core.reporting.summary import Estimate, interval_text, number
from fairness_core.reporting.svg import element, ticks

__all__ = ["sweep_curve"]

WIDTH, HEIGHT, LEFT, BOTTOM = 360.0, 200.0, 40.0, 40.0
# Points of two models at one setting would hide each other.
ASIDE = {"base": -3.0, "aligned": 3.0}


def sweep_curve(
    values: Sequence[object],
    lines: Mapping[str, Sequence[Estimate]],
    floors: Sequence[float | None],
    *,
    centre: object,
    axis: str,
    label: str,
) -> Markup:
    """Draw one bias over the values of one setting.

    Args:
        values: Along x: numbers lie where they are, names at even distances.
        lines: By model, a bias with its interval for each value.
        floors: For each value, what a sampler of the target scores.
        centre: The value of the evaluation itself; marked.
        axis: Name of the setting.
        label: Read out before the figures.
    """
    places = _places(values)
    high = max(
        [0.05]
        + [e for line in lines.values() for i in line for e in (i.value, i.high) if e is not None]
        + [floor for floor in floors if floor is not None]
    )

    def up(value: float) -> float:
        return 10 + (high - value) / high * (HEIGHT - BOTTOM - 10)

    parts = []
    for tick in ticks(high):
        y = up(float(tick))
        parts.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - 10, y1=y, y2=y))
        parts.append(element("text", f"{tick:g}", x=LEFT - 6, y=y + 4, text_anchor="end"))
    for value, x in zip(values, places, strict=True):
        heavy = {"font_weight": "700"} if value == centre else {}
        text = f"{value:g}" if isinstance(value, int | float) else str(value)
        parts.append(element("text", text, x=x, y=HEIGHT - 22, text_anchor="middle", **heavy))
    parts.append(element("text", axis, x=(LEFT + WIDTH) / 2, y=HEIGHT - 5, text_anchor="middle"))
    known = [(x, up(f)) for x, f in zip(places, floors, strict=True) if f is not None]
    if known:
        parts.append(element("polyline", class_="floor-line open", points=_points(known)))
    for model, line in lines.items():
        parts += _line(model, line, places, up)
    spoken = "; ".join(
        f"{axis} {value}: "
        + ", ".join(
            f"{model} {number(line[k].value)} ({interval_text(line[k])})"
            for model, line in lines.items()
        )
        for k, value in enumerate(values)
    )
    return element(
        "svg", *parts, class_="curve", viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", role="img",
        aria_label=f"{label}. {spoken}.",
    )  # fmt: skip


def _places(values: Sequence[object]) -> list[float]:
    room = (LEFT + 22, WIDTH - 32)
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    if len(numbers) == len(values) and max(numbers) > min(numbers):
        share = [(v - min(numbers)) / (max(numbers) - min(numbers)) for v in numbers]
    else:
        share = [(k + 0.5) / len(values) for k in range(len(values))]
    return [room[0] + s * (room[1] - room[0]) for s in share]


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _line(
    model: str, line: Sequence[Estimate], places: Sequence[float], up: Callable[[float], float]
) -> list[Markup]:
    aside = ASIDE.get(model, 0.0)
    there = [(x + aside, item) for x, item in zip(places, line, strict=True)]
    path = [(x, up(item.value)) for x, item in there if item.value is not None]
    parts = [element("polyline", class_=f"path {model}", points=_points(path))]
    for x, item in there:
        if item.value is None:
            continue
        if item.low is not None and item.high is not None:
            parts.append(
                element("line", class_=f"reach {model}", x1=x, x2=x, y1=up(item.low),
                        y2=up(item.high))
            )  # fmt: skip
        y = up(item.value)
        # Two shapes: the models are told apart without colour.
        if model == "base":
            parts.append(
                element("rect", class_=f"point {model}", x=x - 5, y=y - 5, width=10.0, height=10.0)
            )
        else:
            parts.append(element("circle", class_=f"point {model}", cx=x, cy=y, r=5.5))
    return parts
