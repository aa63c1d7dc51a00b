"""Which class an image had before training, and which after."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["class_changes"]


def class_changes(parameters: str, evaluation: str) -> tuple[list[str], list[list[int]]]:
    """Count images by the class perceived in the base model's and in the aligned model's.

    Args:
        parameters: JSON with the section ``attributes``.
        evaluation: Folder that the step wrote.

    Returns:
        Classes such as ``gender=female`` of all attributes in turn, and counts: row, the class in
        the base model's image; column, the class in the aligned model's from the same noise.
        Images without a face in either are left out; different attributes meet in zeros.
    """
    from fairness_core.runtime import read_table

    attributes = json.loads(parameters)["attributes"]
    faces = read_table(Path(evaluation, "faces.parquet"))
    sides = [faces[faces["model"] == model].set_index("image_id") for model in ("base", "aligned")]
    both = sides[0].join(sides[1], lsuffix="_base", rsuffix="_aligned", how="inner")
    names = [(a, c) for a, entry in attributes.items() for c in entry["classes"]]
    counts = [
        [
            int(((both[f"{a}_base"] == c) & (both[f"{a}_aligned"] == d)).sum()) if a == b else 0
            for b, d in names
        ]
        for a, c in names
    ]
    return [f"{attribute}={label}" for attribute, label in names], counts
