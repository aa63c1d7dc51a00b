"""Labels that people gave to images, and how the classifier errs on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.metrics import Confusion
from fairness_core.runtime.artifacts import read_csv

__all__ = ["FACE", "confusion_of", "read_labels"]

FACE = "face"
YES_NO = ("yes", "no")


def read_labels(path: Path, space: AttributeSpace) -> pd.DataFrame:
    """Read the labelling sheet that ``evenhand label`` writes.

    Args:
        path: CSV with ``file``, ``face`` (yes or no) and one column for each attribute: a class,
            or blank where the person could not tell.
        space: Attributes and classes.

    Returns:
        The same, blanks as None.

    Raises:
        ArtifactError: No such file, it cannot be read, a missing column, a word that is no class,
            or a file that is labelled twice.
    """
    if not path.is_file():
        raise ArtifactError("There are no labels here", given=path, do="run evenhand label")
    table = read_csv(path, "The labels")
    missing = [name for name in ("file", FACE, *space.names) if name not in table.columns]
    if missing:
        raise ArtifactError(
            f"The labels lack the columns {', '.join(missing)}",
            given=path,
            do="label with the attributes that are audited",
        )
    known = {FACE: YES_NO, **{a.name: ("", *a.classes) for a in space.attributes}}
    for name, words in known.items():
        odd = sorted(set(table[name]) - set(words))
        if odd:
            raise ArtifactError(
                f"Labels of '{name}' that do not exist",
                given=f"{path}: {', '.join(odd[:5])}",
                do=f"use {', '.join(word or '(blank)' for word in words)}",
            )
    twice = table.loc[table["file"].duplicated(), "file"].tolist()
    if twice:
        raise ArtifactError("Images are labelled twice", given=twice[:5], do="keep one row of each")
    return table.astype(object).where(table != "", None)


def confusion_of(
    faces: pd.DataFrame, labels: pd.DataFrame, space: AttributeSpace, attributes: Sequence[str]
) -> Confusion:
    """What the classifier said of faces that a person labelled in all these attributes.

    Args:
        faces: The audit's faces table, with ``file``.
        labels: From `read_labels`.
        space: Attributes and classes.
        attributes: One, or several for their cells.

    Raises:
        ArtifactError: A labelled file is not among the audited images.
    """
    unknown = sorted(set(labels["file"]) - set(faces["file"]))
    if unknown:
        raise ArtifactError(
            "Labelled images are not among the audited ones",
            given=unknown[:5],
            do="label images of the folder that is audited",
        )
    chosen = space.subset(attributes)
    both = faces.merge(labels, on="file", suffixes=("", "_label"))
    told = both[[f"{name}_label" for name in chosen.names]].notna().all(axis=1)
    both = both[told & both["present"].astype(bool) & (both[FACE] == "yes")]
    codes = [
        np.ravel_multi_index(
            [
                pd.Index(a.classes).get_indexer(pd.Index(both[a.name + suffix]))
                for a in chosen.attributes
            ],
            chosen.sizes,
        )
        for suffix in ("_label", "")
    ]
    counts = np.zeros((chosen.n_cells, chosen.n_cells), dtype=np.int64)
    np.add.at(counts, tuple(codes), 1)
    return Confusion(counts, chosen.cell_names)
