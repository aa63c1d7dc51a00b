"""Conditions under which a comparison of two models means something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fairness_core.errors import ArtifactError, ModelError

__all__ = ["check_alike", "check_audit"]

SHARED = (
    "stage",
    "seed",
    "guidance",
    "steps",
    "dtype",
    "scheduler",
    "scheduler_sha256",
    "plan_sha256",
    "base_sha256",
)


def check_alike(recipes: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse images that do not come from one base model, noise, sampler, guidance and precision.

    Args:
        recipes: Model to the recipe in its images' manifest.

    Raises:
        ArtifactError: Names every value that differs.
    """
    differing = []
    for key in SHARED:
        values = {model: recipe.get(key) for model, recipe in recipes.items()}
        if len(set(values.values())) > 1:
            each = ", ".join(f"{model} {value}" for model, value in values.items())
            differing.append(f"{key}: {each}")
    if differing:
        raise ArtifactError(
            "The models' images were not made alike",
            given="; ".join(differing),
            do="run generate_images again for each",
        )


def check_audit(audit: str, *, trained_with: Iterable[str | None]) -> None:
    """Refuse to measure with the classifier that training was paid by.

    Args:
        audit: SHA-256 of the audit classifier's weights.
        trained_with: SHA-256 of every classifier that training used; None where unknown.

    Raises:
        ModelError: They are the same.
    """
    if audit in set(trained_with):
        raise ModelError(
            "The audit classifier is the one that the model was trained with",
            given=f"both have SHA-256 {audit}",
            do="fit a separate audit classifier (calibrate_classifier)",
        )
