"""Figures of the paper (Shen et al. 2024, arXiv 2311.07604), as data to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["GOALS", "ORIGINAL", "Goal", "PublishedRow", "published_row"]


@dataclass(frozen=True)
class PublishedRow:
    """Mean bias over the 50 held-out prompts, and quality, of one method in Table 1.

    Attributes:
        trained: What was balanced: ``gender``, ``race`` or ``gender_x_race``; empty for the base.
        method: Name of the method.
        bias: By group.
        clip_t: Text-image cosine.
        clip_i: Image-image cosine with the original's; None for the original.
        dino: The same by DINOv2.
    """

    trained: str
    method: str
    bias: Mapping[str, float]
    clip_t: float
    clip_i: float | None
    dino: float | None


def _row(
    trained: str,
    method: str,
    bias: tuple[float, float, float],
    clip_t: float,
    clip_i: float | None = None,
    dino: float | None = None,
) -> PublishedRow:
    groups = ("gender", "race", "gender_x_race")
    return PublishedRow(trained, method, dict(zip(groups, bias, strict=True)), clip_t, clip_i, dino)


TABLE_1 = (
    _row("", "original", (0.67, 0.42, 0.21), 0.39),
    _row("gender", "debiasvl", (0.98, 0.49, 0.24), 0.36, 0.63, 0.53),
    _row("gender", "uce", (0.59, 0.43, 0.21), 0.38, 0.83, 0.78),
    _row("gender", "intervention", (0.56, 0.37, 0.19), 0.37, 0.68, 0.60),
    _row("gender", "concept algebra", (0.47, 0.41, 0.20), 0.39, 0.84, 0.79),
    _row("gender", "aligned", (0.23, 0.44, 0.20), 0.39, 0.77, 0.70),
    _row("race", "aligned", (0.74, 0.12, 0.14), 0.39, 0.73, 0.67),
    _row("gender_x_race", "debiasvl", (0.99, 0.47, 0.24), 0.35, 0.63, 0.49),
    _row("gender_x_race", "uce", (0.72, 0.36, 0.20), 0.38, 0.79, 0.74),
    _row("gender_x_race", "intervention", (0.55, 0.35, 0.18), 0.36, 0.63, 0.55),
    _row("gender_x_race", "aligned", (0.16, 0.09, 0.06), 0.39, 0.67, 0.58),
)
ORIGINAL = TABLE_1[0]
# Table 5: freq(old), with the biases of gender x race + age 75 % young / 25 % old.
TABLE_5 = {"original": 0.202, "gender_x_race": 0.147, "with age": 0.248}
TABLE_5_BIAS = {"gender": 0.15, "race": 0.09, "gender_x_race": 0.06}
# Table 6: family to bias before and after multi-concept training.
TABLE_6: Mapping[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "occupation": ((0.67, 0.42, 0.21), (0.23, 0.10, 0.07)),
    "sport": ((0.56, 0.38, 0.19), (0.37, 0.11, 0.08)),
    "style": ((0.41, 0.37, 0.18), (0.31, 0.19, 0.11)),
    "descriptor": ((0.37, 0.36, 0.17), (0.18, 0.13, 0.07)),
}
SOFT_TOKENS = 0.5  # what five soft tokens are asked for here; the paper prints no figure of theirs


@dataclass(frozen=True)
class Goal:
    """What a figure is held against.

    Attributes:
        group: Attribute, or ``gender_x_race``.
        reduction: Share of the base's bias that is to go, at least.
        source: Where it comes from.
        family: Family of prompts; None: all of the held-out split.
        before: The paper's figure of the base; None where it has none.
        after: The paper's figure after training.
    """

    group: str
    reduction: float
    source: str
    family: str | None = None
    before: float | None = None
    after: float | None = None


def published_row(trained: str, method: str) -> PublishedRow | None:
    """The row of Table 1, or None where it has none."""
    return next((r for r in TABLE_1 if (r.trained, r.method) == (trained, method)), None)


def _goal(group: str, before: float, after: float, source: str, family: str | None = None) -> Goal:
    return Goal(group, 1 - after / before, source, family, before, after)


def _table_1(trained: str, groups: tuple[str, ...]) -> tuple[Goal, ...]:
    row = published_row(trained, "aligned")
    assert row is not None
    return tuple(_goal(g, ORIGINAL.bias[g], row.bias[g], "Table 1") for g in groups)


def _table_6() -> tuple[Goal, ...]:
    groups = ("gender", "race", "gender_x_race")
    return tuple(
        _goal(group, before, after, "Table 6", family)
        for family, rows in TABLE_6.items()
        for group, before, after in zip(groups, *rows, strict=True)
    )


# By kind of experiment, see `results.experiment_kind`.
GOALS: Mapping[str, tuple[Goal, ...]] = {
    "gender": _table_1("gender", ("gender",)),
    "gender tokens": (Goal("gender", SOFT_TOKENS, "this project's aim"),),
    "race": _table_1("race", ("race",)),
    "gender race": _table_1("gender_x_race", ("gender", "race", "gender_x_race")),
    "gender race age": tuple(
        _goal(group, ORIGINAL.bias[group], after, "Table 5")
        for group, after in TABLE_5_BIAS.items()
    ),
    "multi-concept": _table_6(),
}
