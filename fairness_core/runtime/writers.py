"""Which step writes what: errors about a folder or file name the step to run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

__all__ = ["run_again"]

# By the kind in a manifest, and by the usual place.
KINDS = {
    "prompts": "generate_prompts",
    "classifiers": "calibrate_classifier",
    "face-bank": "build_bank",
    "finetune": "finetune",
    "adapter-bundle": "publish",
    "images": "generate_images",
    "image-shard": "generate_images",
    "baselines": "generate_baselines",
    "measurements": "measure_images",
    "measurement-shard": "measure_images",
    "evaluation": "evaluate_bias",
    "report": "report",
    "gate": "gate",
    "audit": "audit",
}
PLACES = {
    "artifacts": {**KINDS, "bank": "build_bank", "bundle": "publish", "sweep": "sweep"},
    "metrics": {
        "calibration.json": "calibrate_classifier",
        "evaluation.json": "evaluate_bias",
        "finetune.json": "finetune",
    },
}


def run_again(path: Path, kind: str | None = None, *, again: bool = True) -> str:
    """What to do about something that a step should have written.

    Args:
        path: Where it was looked for.
        kind: What its manifest would say it is, if that is known.
        again: Whether it is there.
    """
    parts = path.parts
    named = [
        PLACES[above][name] for above, name in pairwise(parts) if name in PLACES.get(above, {})
    ]
    step = KINDS.get(kind or "") or (named[-1] if named else None)
    more = " again" if again else ""
    return f"run evenhand step {step}{more}" if step else f"run the step that writes it{more}"
