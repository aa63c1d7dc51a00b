"""CelebA in its published layout (Liu et al., ICCV 2015).

A folder with ``list_attr_celeba`` and ``list_eval_partition`` as CSV or as the text files of the
official release (there under ``Anno/`` and ``Eval/``), and the pictures in ``img_align_celeba/``
(also under ``Img/``). Without aligned pictures ``img_celeba/`` and ``list_bbox_celeba`` are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets.faces import FaceDataset, Provenance
from fairness_core.datasets.tables import (
    class_columns,
    describe_merges,
    numbers,
    read_labels,
    require_folder,
)
from fairness_core.errors import ConfigError, DataError
from fairness_core.labels import Merge, classes_of_labels

__all__ = ["COLUMNS", "read_celeba"]

NAME = "CelebA"
ID = "image_id"
# Our attribute: CelebA's column, then the labels that we give to its -1 and its 1.
COLUMNS = {"gender": ("Male", "Female", "Male"), "age": ("Young", "Old", "Young")}
PARTITION = {"train": "0", "val": "1", "test": "2"}
CITATION = "Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015"
LICENCE = "non-commercial research only, see the data set's agreement; photographs of real people"
ALIGNED = ("img_align_celeba/img_align_celeba", "img_align_celeba", "Img/img_align_celeba")
WILD = ("img_celeba", "Img/img_celeba")
POINTS = tuple(
    f"{name}_{axis}"
    for name in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
    for axis in "xy"
)
ENDS = (".csv", ".txt")
BOX = ("x_1", "y_1", "width", "height")
# Where the aligned pictures, 178x218 px, have eyes, nose and mouth, for want of a table of them.
USUAL_POINTS = ((69.0, 111.0), (108.0, 111.0), (88.0, 135.0), (72.0, 152.0), (105.0, 152.0))
# A detector's box from eyes and mouth: its side over their distances, and its centre's way down.
SIDE_BY_EYES, SIDE_BY_HEIGHT, CENTRE = 2.9, 2.5, 1 / 3


def read_celeba(
    folder: str | Path,
    split: Literal["train", "val", "test"],
    space: AttributeSpace,
    *,
    merges: Mapping[str, Merge] | None = None,
) -> FaceDataset:
    """Read one split's labels; all of them are checked, no picture is decoded.

    Gender is the attribute ``Male``, age is ``Young``. The face's box comes from the five points of
    ``list_landmarks_align_celeba`` where there is such a table, else from where the alignment puts
    them; in pictures that are not aligned from ``list_bbox_celeba``.

    Args:
        folder: Where it was unpacked.
        split: Of the official partition.
        space: Attributes asked for: gender, age.
        merges: Attribute to class to labels (Female, Male; Young, Old), where the classes have
            other names.

    Raises:
        ConfigError: An attribute that CelebA does not label, or classes that do not fit.
        DataError: The folder, a table, a column or a picture is missing, a label is unknown, or a
            picture is in one table only.
    """
    folder = require_folder(Path(folder), NAME)
    classes, described = _classes(space, merges or {}, folder)
    path = _table(folder, "list_attr_celeba")
    labels = read_labels(path, [ID, *classes])
    class_columns(labels, ID, classes, path)
    place = _table(folder, "list_eval_partition")
    partition = read_labels(place, [ID, "partition"])
    class_columns(partition, ID, {"partition": {"0": 0, "1": 1, "2": 2}}, place)
    labels = _joined(labels[[ID, *classes]], partition[[ID, "partition"]], place)
    labels = labels[labels["partition"] == PARTITION[split]].reset_index(drop=True)
    pictures, boxes = _pictures(folder, labels)
    return FaceDataset(
        key="celeba",
        root=folder,
        files=tuple(f"{pictures}/{name}" for name in labels[ID]),
        attributes=space.names,
        labels=class_columns(labels, ID, classes, path),
        boxes=boxes,
        shares=False,
        about=Provenance(NAME, CITATION, LICENCE, described),
    ).require_files()


def _classes(
    space: AttributeSpace, merges: Mapping[str, Merge], folder: Path
) -> tuple[dict[str, dict[str, int]], tuple[str, ...]]:
    """Column to value to class index, and how each class came to be."""
    classes, named = {}, {}
    for attribute in space.attributes:
        if attribute.name not in COLUMNS:
            raise ConfigError(
                f"{NAME} does not label attribute '{attribute.name}'",
                given=folder,
                do=f"choose among {', '.join(COLUMNS)}, or take it from another source",
            )
        column, *labels = COLUMNS[attribute.name]
        found = classes_of_labels(labels, attribute, whose=NAME, merge=merges.get(attribute.name))
        classes[column] = dict(zip(("-1", "1"), found, strict=True))
        named[attribute.name] = {f"{column} {k}": v for k, v in classes[column].items()}
    return classes, describe_merges(space, named)


def _table(folder: Path, name: str) -> Path:
    """Path of a table in one of the published places; where the CSV would be if there is none."""
    places = [folder / part / f"{name}{end}" for part in ("", "Anno", "Eval") for end in ENDS]
    return next((path for path in places if path.is_file()), places[0])


def _joined(labels: pd.DataFrame, other: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The labels with the other table's columns."""
    for table in (labels, other):
        if table[ID].duplicated().any():
            twice = table[ID][table[ID].duplicated()].iloc[0]
            raise DataError(f"A picture is listed twice in {NAME}: {twice}", given=path.parent)
    joined = labels.merge(other, on=ID, how="left")
    lost = joined[joined[other.columns[-1]].isna()]
    if len(lost):
        raise DataError(
            f"{len(lost)} labelled pictures are not in a table, the first of them "
            f"{lost[ID].iloc[0]}",
            given=path,
            do="use tables of one release",
        )
    return joined


def _pictures(folder: Path, labels: pd.DataFrame) -> tuple[str, Float[np.ndarray, "n 4"]]:
    """The pictures' folder, and the face's box in each, px."""
    for name in ALIGNED:
        if (folder / name).is_dir():
            return name, _aligned_boxes(folder, labels)
    for name in WILD:
        if (folder / name).is_dir():
            path = _table(folder, "list_bbox_celeba")
            table = _joined(labels[[ID]], read_labels(path, [ID, *BOX])[[ID, *BOX]], path)
            values = numbers(table, BOX, path)
            return name, np.concatenate([values[:, :2], values[:, :2] + values[:, 2:]], axis=1)
    raise DataError(
        f"{NAME} has no folder of pictures",
        given=folder,
        do=f"unpack {ALIGNED[1]} there, or {WILD[0]} with list_bbox_celeba",
    )


def _aligned_boxes(folder: Path, labels: pd.DataFrame) -> Float[np.ndarray, "n 4"]:
    path = _table(folder, "list_landmarks_align_celeba")
    if not path.is_file():
        points = np.tile(np.array(USUAL_POINTS, np.float32), (len(labels), 1, 1))
    else:
        table = _joined(labels[[ID]], read_labels(path, [ID, *POINTS])[[ID, *POINTS]], path)
        points = numbers(table, POINTS, path).reshape(-1, 5, 2)
    return boxes_of_points(points)


def boxes_of_points(points: Float[np.ndarray, "n 5 2"]) -> Float[np.ndarray, "n 4"]:
    """Compute the square that a detector would draw around a face, from its five points.

    The larger of 2.9 distances between the eyes and 2.5 between eyes and mouth, so that a turned
    head keeps its size; the centre lies a third of the way from the eyes to the mouth. These are
    typical proportions, not measured on the data set.

    Args:
        points: Px: eyes, nose tip, mouth corners.

    Returns:
        Boxes, px, x0 y0 x1 y1.
    """
    eyes, mouth = points[:, :2].mean(axis=1), points[:, 3:].mean(axis=1)
    across = np.linalg.norm(points[:, 1] - points[:, 0], axis=1)
    down = np.linalg.norm(mouth - eyes, axis=1)
    half = np.maximum(SIDE_BY_EYES * across, SIDE_BY_HEIGHT * down)[:, None] / 2
    centre = eyes + CENTRE * (mouth - eyes)
    boxes: np.ndarray = np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)
    return boxes
