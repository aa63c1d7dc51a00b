"""Further figures of the evaluation: quality, named attributes, planted truth, accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairness_core.reporting.data import MODELS
from fairness_core.reporting.summary import Estimate, entry_of, estimate, label_of, models_of

__all__ = [
    "Check",
    "Planted",
    "faceless",
    "generated_accuracy",
    "named_checks",
    "planted_checks",
    "quality_checks",
]

_QUALITY = (
    ("clip_t", "CLIP-T", "Likeness of picture and prompt. Higher is closer to the prompt."),
    (
        "clip_i",
        "CLIP-I",
        "Likeness to the base model's picture from the same noise, by CLIP; 1 is the same.",
    ),
    ("dino", "DINO", "The same by DINO, which looks at layout and texture more than at meaning."),
    ("no_face_rate", "No-face rate", "Share of images in which the detector found no face."),
    ("seconds", "Seconds", "Time that generating this model's images took."),
)


@dataclass(frozen=True)
class Check:
    """One figure for both models.

    Attributes:
        key: Key in the evaluation.
        label: What the reader sees.
        base: The base model's figure.
        aligned: The aligned model's figure.
        change: Aligned minus base, or aligned / base for rates that are to be kept.
        meaning: How to read it; empty where the section says it.
    """

    key: str
    label: str
    base: Estimate
    aligned: Estimate
    change: Estimate
    meaning: str = ""


@dataclass(frozen=True)
class Planted:
    """Measured shares against the truth of a made-up world, for one model and attribute.

    Attributes:
        label: Attribute.
        model: ``base`` or ``aligned``.
        difference: Mean over prompts and classes of |share - planted|.
        measured: Measured bias.
        planted: Bias of the planted shares.
    """

    label: str
    model: str
    difference: Estimate
    measured: Estimate
    planted: Estimate


def quality_checks(evaluation: Mapping[str, Any]) -> list[Check]:
    """CLIP-T, CLIP-I, DINO, no-face rate and seconds, those that either model has.

    Raises:
        ArtifactError: A model is missing from the evaluation.
    """
    base, aligned = models_of(evaluation)
    rows = []
    for key, label, meaning in _QUALITY:
        if key in base or key in aligned:
            change = (evaluation.get("change") or {}).get(key) or {}
            difference = estimate(
                {"value": change.get("difference"), "ci95": change.get("difference_ci95")}
            )
            rows.append(
                Check(key, label, entry_of(base, key), entry_of(aligned, key), difference, meaning)
            )
    return rows


def named_checks(evaluation: Mapping[str, Any]) -> list[Check]:
    """Rates of prompts that name an attribute: all first, then each attribute; empty if none."""
    named = evaluation.get("named") or {}
    if not named:
        return []
    parts = {"all": named, **(named.get("per_attribute") or {})}
    return [
        Check(
            key=key,
            label="All" if key == "all" else label_of(key).capitalize(),
            base=entry_of(part, "base"),
            aligned=entry_of(part, "aligned"),
            change=entry_of(part, "ratio"),
        )
        for key, part in parts.items()
    ]


def generated_accuracy(evaluation: Mapping[str, Any]) -> list[Check]:
    """The audit classifier's accuracy on generated pictures of prompts that name the class."""
    found = (evaluation.get("named") or {}).get("audit_accuracy") or {}
    base, aligned = (found.get(model) or {} for model in MODELS)
    return [
        Check(
            key=key,
            label=label_of(key).capitalize(),
            base=estimate(base.get(key), value="accuracy"),
            aligned=estimate(aligned.get(key), value="accuracy"),
            change=Estimate(None),
        )
        for key in dict.fromkeys([*base, *aligned])
    ]


def planted_checks(evaluation: Mapping[str, Any]) -> list[Planted]:
    """Agreement with planted shares, where the world has them; empty otherwise."""
    rows = []
    for model in MODELS:
        for key, entry in evaluation[model].items():
            if isinstance(entry, Mapping) and entry.get("planted"):
                truth = entry["planted"]
                rows.append(
                    Planted(
                        label=label_of(key),
                        model=model,
                        difference=estimate(truth, value="mean_abs_difference"),
                        measured=estimate(entry, value="bias"),
                        planted=estimate(truth.get("bias")),
                    )
                )
    return rows


def faceless(evaluation: Mapping[str, Any]) -> dict[str, int]:
    """Prompts none of whose images shows a face, by model; only models that have some."""
    counts = {model: len(evaluation[model].get("prompts_without_face") or ()) for model in MODELS}
    return {model: count for model, count in counts.items() if count}
