"""What the evaluation measured beside the main figures: sweeps, variety, distances, scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fairness_core.reporting.data import MODELS
from fairness_core.reporting.summary import Estimate, entry_of, estimate, gap_rows, label_of
from fairness_core.reporting.sweep_svg import sweep_curve

__all__ = ["Robustness", "SweepChart", "robustness"]

AXES = {"guidance": "guidance scale", "steps": "sampling steps", "sampler": "sampler"}
KINDS = {"people": "Prompts of people", "scenes": "Prompts without people"}
SCENES = (
    ("clip_t", "CLIP-T", "Likeness of picture and prompt."),
    ("clip_i", "CLIP-I", "Likeness to the base's picture of the same noise; 1 is the same."),
    ("dino", "DINO", "The same by layout and texture."),
    ("face_rate", "Faces found", "Share of pictures without people in which a face is found."),
)


@dataclass(frozen=True)
class SweepChart:
    """One bias over one setting."""

    axis: str
    label: str
    drawing: Markup


@dataclass(frozen=True)
class Line:
    """A row of figures.

    Attributes:
        label: What was measured.
        cells: Its figures, in the table's order.
        meaning: How to read it; may be empty.
        inner: Whether it is a part of the row above.
    """

    label: str
    cells: tuple[Estimate, ...]
    meaning: str = ""
    inner: bool = False


@dataclass(frozen=True)
class Robustness:
    """Everything of the section; empty lists where nothing was measured.

    Attributes:
        sweeps: Charts.
        sweep_note: Prompts and images behind them.
        variety: Base, aligned, ratio.
        distances: Distance, floor, excess.
        scenes: Base, aligned, change.
        scene_note: Prompts and images behind them.
        other_noise: CLIP-I and DINO of two base pictures of one prompt and other noise.
    """

    sweeps: tuple[SweepChart, ...]
    sweep_note: str
    variety: tuple[Line, ...]
    distances: tuple[Line, ...]
    scenes: tuple[Line, ...]
    scene_note: str
    other_noise: tuple[Estimate, Estimate]

    def __bool__(self) -> bool:
        """Whether anything was measured."""
        return bool(self.sweeps or self.variety or self.distances or self.scenes)


def robustness(evaluation: Mapping[str, Any]) -> Robustness:
    """Read ``sweeps``, ``diversity``, ``frechet`` and ``scenes``, each of which may be missing.

    Args:
        evaluation: Contents of ``metrics/evaluation.json``.
    """
    sweeps = evaluation.get("sweeps") or {}
    scenes = evaluation.get("scenes") or {}
    noise = scenes.get("other_noise") or {}
    return Robustness(
        sweeps=tuple(_charts(sweeps)),
        sweep_note=_sample(sweeps),
        variety=tuple(_variety(evaluation.get("diversity") or {})),
        distances=tuple(
            Line(
                KINDS.get(kind, label_of(kind).capitalize()),
                tuple(entry_of(entry, name) for name in ("distance", "floor", "excess")),
            )
            for kind, entry in (evaluation.get("frechet") or {}).items()
            if entry
        ),
        scenes=tuple(_scenes(scenes)),
        scene_note=_sample(scenes),
        other_noise=(estimate(noise.get("clip_i")), estimate(noise.get("dino"))),
    )


def _sample(part: Mapping[str, Any]) -> str:
    if not part:
        return ""
    return f"{part['n_prompts']} prompts of {part['images_per_prompt']} images each"


def _charts(sweeps: Mapping[str, Any]) -> list[SweepChart]:
    charts = []
    for axis, points in (sweeps.get("axes") or {}).items():
        name = AXES.get(axis, label_of(axis))
        rows = [{row.key: row for row in gap_rows(point)} for point in points]
        for key, first in rows[0].items():
            if not all(key in of for of in rows):
                continue
            lines = {
                model: [of[key].base if model == "base" else of[key].aligned for of in rows]
                for model in MODELS
            }
            label = f"{first.label.capitalize()} bias by {name}"
            drawing = sweep_curve(
                [point["value"] for point in points],
                lines,
                [of[key].floors[1] for of in rows],
                centre=(sweeps.get("centre") or {}).get(axis),
                axis=name,
                label=label,
            )
            charts.append(SweepChart(name, label, drawing))
    return charts


def _variety(diversity: Mapping[str, Any]) -> list[Line]:
    lines = []
    for key, entry in diversity.items():
        group, _, cls = key.partition("=")
        label = "Any two of one prompt" if key == "prompt" else f"Within {label_of(group)}"
        cells = tuple(entry_of(entry, name) for name in (*MODELS, "ratio"))
        lines.append(Line(cls or label, cells, inner=bool(cls)))
    return lines


def _scenes(scenes: Mapping[str, Any]) -> list[Line]:
    if not scenes:
        return []
    lines = []
    for key, label, meaning in SCENES:
        change = (scenes.get("change") or {}).get(key) or {}
        moved = estimate({"value": change.get("difference"), "ci95": change.get("difference_ci95")})
        cells = (*(entry_of(scenes.get(model) or {}, key) for model in MODELS), moved)
        lines.append(Line(label, cells, meaning))
    return lines
