"""FairFace in its published layout (Kärkkäinen and Joo, WACV 2021).

A folder with ``fairface_label_train.csv`` and ``fairface_label_val.csv`` (file, age, gender, race,
service_test) and the pictures in ``train/`` and ``val/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets.faces import FaceDataset, Provenance
from fairness_core.datasets.tables import (
    class_columns,
    describe_merges,
    read_labels,
    require_folder,
)
from fairness_core.errors import ConfigError
from fairness_core.labels import Merge, classes_of_labels

__all__ = ["LABELS", "fairface_merges", "read_fairface"]

NAME = "FairFace"
# Age groups in order, each with its first year.
AGES = {
    "0-2": 0,
    "3-9": 3,
    "10-19": 10,
    "20-29": 20,
    "30-39": 30,
    "40-49": 40,
    "50-59": 50,
    "60-69": 60,
    "more than 70": 70,
}
LABELS: dict[str, tuple[str, ...]] = {
    "gender": ("Male", "Female"),
    "race": (
        "White",
        "Middle Eastern",
        "Latino_Hispanic",
        "Black",
        "Indian",
        "East Asian",
        "Southeast Asian",
    ),
    "age": tuple(AGES),
}
CITATION = "Kärkkäinen and Joo, FairFace: Face Attribute Dataset, WACV 2021"
LICENCE = "CC BY 4.0: give credit; the pictures are photographs of real people"


def fairface_merges(old_from: int = 40) -> dict[str, dict[str, tuple[str, ...]]]:
    """The paper's classes as FairFace's labels (method, §5).

    Seven races become four, two genders stay. Where young ends is not confirmed: here a face is old
    from ``old_from`` years, by default 40, which about halves the adults.

    Args:
        old_from: First year of one of FairFace's age groups, above 0.

    Returns:
        Attribute to class to labels.

    Raises:
        ConfigError: No age group begins with that year.
    """
    starts = list(AGES.values())[1:]
    if old_from not in starts:
        raise ConfigError(
            "No age group of FairFace begins with that year",
            given=old_from,
            do=f"set old_from to one of {', '.join(map(str, starts))}",
        )
    return {
        "gender": {"female": ("Female",), "male": ("Male",)},
        "race": {
            "WMELH": ("White", "Middle Eastern", "Latino_Hispanic"),
            "Black": ("Black",),
            "Indian": ("Indian",),
            "Asian": ("East Asian", "Southeast Asian"),
        },
        "age": {
            "young": tuple(group for group, first in AGES.items() if first < old_from),
            "old": tuple(group for group, first in AGES.items() if first >= old_from),
        },
    }


def read_fairface(
    folder: str | Path,
    split: Literal["train", "val"],
    space: AttributeSpace,
    *,
    merges: Mapping[str, Merge] | None = None,
    old_from: int = 40,
    padding: float = 0.25,
) -> FaceDataset:
    """Read one split's labels; all of them are checked, no picture is decoded.

    The pictures were cut around the face with a margin of ``padding`` times its size on each side,
    so the face is the middle share 1 / (1 + 2 padding) of every picture.

    Args:
        folder: Where it was unpacked.
        split: ``train`` or ``val``; there is no other.
        space: Attributes asked for, among gender, race and age.
        merges: Attribute to class to labels, in place of `fairface_merges`.
        old_from: See `fairface_merges`.
        padding: 0.25 or 1.25: which of the two published sets of pictures this is.

    Raises:
        ConfigError: An attribute that FairFace does not label, or classes that do not fit.
        DataError: The folder, a table, a column or a picture is missing, or a label is unknown.
    """
    folder = require_folder(Path(folder), NAME)
    published = fairface_merges(old_from)
    classes = {}
    for attribute in space.attributes:
        if attribute.name not in LABELS:
            raise ConfigError(
                f"{NAME} does not label attribute '{attribute.name}'",
                given=folder,
                do=f"choose among {', '.join(LABELS)}",
            )
        labels = LABELS[attribute.name]
        found = classes_of_labels(
            labels,
            attribute,
            whose=NAME,
            merge=(merges or {}).get(attribute.name),
            published=published[attribute.name],
        )
        classes[attribute.name] = dict(zip(labels, found, strict=True))
    path = folder / f"fairface_label_{split}.csv"
    table = read_labels(path, ["file", *classes])
    margin = padding / (1 + 2 * padding)
    box = np.array([margin, margin, 1 - margin, 1 - margin], np.float32)
    return FaceDataset(
        key="fairface",
        root=folder,
        files=tuple(table["file"]),
        attributes=space.names,
        labels=class_columns(table, "file", classes, path),
        boxes=np.tile(box, (len(table), 1)),
        shares=True,
        about=Provenance(NAME, CITATION, LICENCE, describe_merges(space, classes)),
    ).require_files()
