"""An audit's figures as cards, rates, claims and matrices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.reporting.summary import Estimate, estimate, label_of

__all__ = [
    "AuditCard",
    "Claim",
    "Matrix",
    "Rate",
    "audit_cards",
    "audit_rates",
    "claims_of",
    "confusions",
]

RATES = {
    "undecided": ("undecided", "Faces whose likeliest class has a low probability"),
    "disagreement": ("disagreement", "Faces that the two classifiers put into different classes"),
}


@dataclass(frozen=True)
class AuditCard:
    """One group's bias.

    Attributes:
        label: The group.
        bias: Mean over prompts.
        corrected: The same for a faultless classifier; value None where it is not given.
        reason: Why there is no corrected figure; empty where there is one or none was asked for.
        second: By the second classifier.
        floor: What a sampler of the target scores.
        limit: When every face falls into one class.
        spread: Population SD over prompts.
        uniform: Whether the target asks for equal shares.
        claims: Prompts that differ from the target.
        worst: Text of the prompt with the largest bias.
        worst_bias: Its bias, the interval holding for all prompts at once.
    """

    label: str
    bias: Estimate
    corrected: Estimate
    reason: str
    second: Estimate
    floor: float | None
    limit: float
    spread: float | None
    uniform: bool
    claims: int
    worst: str
    worst_bias: Estimate


@dataclass(frozen=True)
class Rate:
    """One rate over images or faces."""

    label: str
    value: Estimate
    meaning: str


@dataclass(frozen=True)
class Claim:
    """Whether a prompt differs from the target, and its q-value."""

    claim: bool
    q: float


@dataclass(frozen=True)
class Matrix:
    """Labelled faces by what the label and the classifier say.

    Attributes:
        label: The group.
        names: Classes or cells.
        counts: Row: labelled class; column: predicted class.
        reason: Why it corrects nothing; empty where it does.
    """

    label: str
    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    reason: str


def _groups(figures: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {k: v for k, v in figures.items() if isinstance(v, Mapping) and "fair_floor" in v}


def audit_cards(
    figures: Mapping[str, Any], space: AttributeSpace, prompts: pd.DataFrame
) -> list[AuditCard]:
    """A card for every group, single attributes first.

    Args:
        figures: Contents of ``audit.json``.
        space: The measured attributes.
        prompts: Columns prompt_id and prompt.
    """
    texts = dict(zip(prompts["prompt_id"], prompts["prompt"], strict=True))
    cards = []
    for key, entry in _groups(figures).items():
        part = space.subset(key.split("_x_"))
        corrected = entry.get("corrected") or {}
        worst = entry["worst_prompt"]
        cards.append(
            AuditCard(
                label=label_of(key),
                bias=estimate(entry, value="bias"),
                corrected=estimate(corrected, value="bias"),
                reason=corrected.get("reason", ""),
                second=estimate((figures.get("second") or {}).get(key), value="bias"),
                floor=entry["fair_floor"],
                limit=2.0 / part.n_cells,
                spread=entry.get("sd"),
                uniform=max(part.cell_target) - min(part.cell_target) < 1e-9,
                claims=entry["claims"],
                worst=str(texts.get(worst["prompt_id"], worst["prompt_id"])),
                worst_bias=estimate(worst, value="bias"),
            )
        )
    return cards


def audit_rates(figures: Mapping[str, Any]) -> list[Rate]:
    """Images without a face, undecided faces, disagreement of two classifiers."""
    rates = [
        Rate(
            "No face",
            estimate(figures["no_face_rate"], value="rate"),
            "Images in which the detector found no face. They are in no share.",
        )
    ]
    for kind, (word, meaning) in RATES.items():
        rates += [
            Rate(f"{label_of(name).capitalize()}: {word}", estimate(entry, value="rate"), meaning)
            for name, entry in (figures.get(kind) or {}).items()
        ]
    return rates


def claims_of(table: pd.DataFrame) -> dict[tuple[str, str], Claim]:
    """By key of the page's table and prompt; prompts that were not tested are left out."""
    rows = table.dropna(subset=["q_value"])
    return {
        (str(group).replace("_x_", "-x-"), str(prompt)): Claim(bool(claim), float(q))
        for group, prompt, claim, q in zip(
            rows["attribute"], rows["prompt_id"], rows["claim"], rows["q_value"], strict=True
        )
    }


def confusions(figures: Mapping[str, Any], space: AttributeSpace) -> list[Matrix]:
    """The confusion matrix of every group that labels were given for."""
    return [
        Matrix(
            label_of(key),
            tuple(space.subset(key.split("_x_")).cell_names),
            tuple(tuple(int(n) for n in row) for row in entry["corrected"]["confusion"]),
            entry["corrected"].get("reason", ""),
        )
        for key, entry in _groups(figures).items()
        if entry.get("corrected")
    ]
