"""What the report is made from: the other steps' folders, and facts about the run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from components.step import CLASSIFIER_WEIGHTS
from fairness_core.runtime.revision import git

__all__ = ["WORLD_NOTE", "Inputs", "hashes_of", "revision"]

WORLD_NOTE = (
    "The world of this run is drawn: small portraits made by a program with known attributes. "
    "Its four groups of skin tone stand in for the classes of photographic data sets. Its figures "
    "show that the method works; they are not figures of any photographic model."
)

# Kept in git, and written by the run whose report this is.
WRITTEN = (":!dvc.lock", ":!metrics")


@dataclass(frozen=True)
class Inputs:
    """What the other steps wrote.

    Attributes:
        prompts: Folder of ``generate_prompts``.
        classifiers: Folder of ``calibrate_classifier``.
        finetuned: Folder of ``finetune``.
        bundle: Folder of ``publish``.
        base: Folder of ``generate_images`` for the base model.
        aligned: The same for the aligned model.
        evaluated: Folder of ``evaluate_bias``.
        metrics: Its figures, ``evaluation.json``.
    """

    prompts: Path
    classifiers: Path
    finetuned: Path
    bundle: Path
    base: Path
    aligned: Path
    evaluated: Path
    metrics: Path


def hashes_of(inputs: Inputs, weights: str) -> dict[str, str]:
    """SHA-256 of what made the figures."""
    from fairness_core.runtime import sha256_file

    files = {
        "prompts": inputs.prompts / "prompts.parquet",
        "training classifier": inputs.classifiers / "train" / CLASSIFIER_WEIGHTS,
        "audit classifier": inputs.classifiers / "audit" / CLASSIFIER_WEIGHTS,
        "bundle": inputs.bundle / weights,
    }
    return {name: sha256_file(path) for name, path in files.items()}


def revision() -> str | None:
    """Git commit of the working directory, ``-dirty`` if more is changed than a run writes."""
    commit = git("describe", "--always", "--abbrev=12")
    if not commit:
        return None
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *WRITTEN)
    return commit if changed == "" else f"{commit}-dirty"
