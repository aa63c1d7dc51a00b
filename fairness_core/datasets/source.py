"""A data set by its name in the parameters, such as ``fairface:/data/fairface``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets.celeba import COLUMNS, read_celeba
from fairness_core.datasets.faces import FaceDataset
from fairness_core.datasets.fairface import LABELS, read_fairface
from fairness_core.errors import ConfigError
from fairness_core.labels import Merge

__all__ = ["KINDS", "LABELLED", "Split", "read_faces"]

Split = Literal["train", "val", "test"]
# What each data set labels.
LABELLED = {"fairface": tuple(LABELS), "celeba": tuple(COLUMNS)}
KINDS = tuple(LABELLED)


def read_faces(
    source: str,
    split: Split,
    space: AttributeSpace,
    *,
    merges: Mapping[str, Merge] | None = None,
    old_from: int = 40,
    padding: float = 0.25,
) -> FaceDataset:
    """Read the labels of one split; `FaceDataset.examples` then gives its pictures one by one.

    FairFace is published without a test split: of its ``val`` every third picture is taken as
    ``val`` and the others as ``test``.

    Args:
        source: ``fairface:FOLDER`` or ``celeba:FOLDER``.
        split: ``train``, ``val`` or ``test``; no picture is in two of them.
        space: Attributes asked for; the data set has to label them all.
        merges: Attribute to class to the data set's labels, in place of the published ones.
        old_from: FairFace: first year of one of its age groups from which a face is old.
        padding: FairFace: 0.25 or 1.25, the margin of its pictures.

    Raises:
        ConfigError: Another source, or attributes that the data set does not label so.
        DataError: Something is missing, or a label is unknown.
    """
    kind, _, folder = source.partition(":")
    if kind not in KINDS or not folder or split not in get_args(Split):
        raise ConfigError(
            "There is no such source of faces",
            given=f"{source}, split {split}",
            do="write fairface:FOLDER or celeba:FOLDER, and train, val or test",
        )
    if kind == "celeba":
        return read_celeba(folder, split, space, merges=merges)
    published: Literal["train", "val"] = "train" if split == "train" else "val"
    faces = read_fairface(
        folder, published, space, merges=merges, old_from=old_from, padding=padding
    )
    if split == "train":
        return faces
    thirds = np.arange(len(faces)) % 3 == 0
    return faces.take(np.flatnonzero(thirds if split == "val" else ~thirds))
