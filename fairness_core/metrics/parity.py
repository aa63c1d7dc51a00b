"""Parity gaps of perceived attributes: per prompt first, then the mean over prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError, FaceError, TargetError
from fairness_core.groups import group_name

__all__ = [
    "FaceCounts",
    "bias",
    "count_faces",
    "frequencies",
    "parity_gaps",
    "per_prompt",
    "summary",
]

SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class FaceCounts:
    """How many faces of each cell every prompt has.

    Attributes:
        group: Attribute name, or names joined by ``_x_``.
        prompts: Prompt ids, sorted.
        cells: Cell names, such as ``female`` or ``female/light``.
        counts: Faces per prompt and cell.
        images: Images per prompt, with or without a face.
    """

    group: str
    prompts: tuple[str, ...]
    cells: tuple[str, ...]
    counts: Int[np.ndarray, "p k"]
    images: Int[np.ndarray, " p"]


def bias(frequencies: Float[np.ndarray, " k"]) -> float:
    """Mean over class pairs i < j of |f_i - f_j|: the bias of one prompt.

    Args:
        frequencies: Shares of one prompt's faces per class or cell, k >= 2, summing to 1.

    Returns:
        In [0, 1]; 0 when all shares are equal, 2/k when one class has all. For two classes it is
        |2 f - 1|.

    Raises:
        TargetError: Fewer than two shares, or shares that do not sum to 1.
    """
    if frequencies.size < 2 or not abs(float(frequencies.sum()) - 1.0) <= SUM_TOLERANCE:
        raise TargetError(
            "Bias needs two or more shares that sum to 1",
            given=frequencies.tolist(),
            do="divide counts by their sum",
        )
    return float(parity_gaps(frequencies))


def parity_gaps(frequencies: Float[np.ndarray, "*batch k"]) -> Float[np.ndarray, "*batch"]:
    """Mean over pairs i < j of |f_i - f_j| along the last axis.

    With f sorted ascending this is 2 / (k (k - 1)) * sum_j (2 j - k + 1) f_(j).

    Args:
        frequencies: Shares, k >= 2 on the last axis.

    Returns:
        Gaps, without the last axis; nan where a share is nan.
    """
    k = frequencies.shape[-1]
    weights = (2.0 * np.arange(k) - k + 1) / (k * (k - 1) / 2)
    return np.asarray(np.sort(frequencies, axis=-1) @ weights)


def frequencies(labels: ArrayLike, n_classes: int) -> Float[np.ndarray, " k"]:
    """f_k = share of the labels that are k.

    Args:
        labels: Class indices, at least one, in [0, n_classes).
        n_classes: Number of classes.

    Returns:
        Shares, summing to 1.

    Raises:
        FaceError: No label.
        ArtifactError: A label outside the classes.
    """
    array = np.asarray(labels)
    if array.size == 0:
        raise FaceError("There is no face to take shares of", do="leave the prompt out")
    if array.min() < 0 or array.max() >= n_classes:
        raise ArtifactError(
            f"A label is outside the {n_classes} classes",
            given=(int(array.min()), int(array.max())),
        )
    return np.bincount(array, minlength=n_classes) / array.size


def count_faces(
    faces: pd.DataFrame, space: AttributeSpace, attributes: Sequence[str]
) -> FaceCounts:
    """counts[p, cell] = faces of prompt p whose predicted classes are the cell's.

    Args:
        faces: One row per image of one model: ``prompt_id``, ``present`` and, per attribute, the
            predicted class's name (not read where no face is present).
        space: Gives classes and cells.
        attributes: The attributes measured; several are measured jointly.

    Returns:
        Counts for every prompt of the table, also those without a face.

    Raises:
        ArtifactError: A missing column, or a class name that the space does not have.
        ConfigError: An attribute that the space does not have.
    """
    chosen = space.subset(attributes)
    missing = {"prompt_id", "present", *attributes} - set(faces.columns)
    if missing:
        raise ArtifactError(
            f"The faces table lacks {', '.join(sorted(missing))}", given=list(faces.columns)
        )
    prompts = pd.Categorical(faces["prompt_id"].astype(str))
    present = faces["present"].to_numpy(dtype=bool)
    codes = [_codes(faces[a.name][present], a.name, a.classes) for a in chosen.attributes]
    cell = np.ravel_multi_index(codes, chosen.sizes)
    shape = (len(prompts.categories), chosen.n_cells)
    flat = prompts.codes.astype(np.int64)[present] * chosen.n_cells + cell
    return FaceCounts(
        group=group_name(attributes),
        prompts=tuple(prompts.categories),
        cells=chosen.cell_names,
        counts=np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape),
        images=np.bincount(prompts.codes.astype(np.int64), minlength=shape[0]),
    )


def per_prompt(
    faces: pd.DataFrame, space: AttributeSpace, groups: Iterable[Sequence[str]]
) -> pd.DataFrame:
    """Shares and bias of every prompt and group of attributes, from detected faces only.

    Args:
        faces: See ``count_faces``.
        space: Gives classes and cells.
        groups: Attributes to measure, such as ``[["gender"], ["race"], ["gender", "race"]]``.

    Returns:
        One row per group and prompt: ``prompt_id``, ``attribute`` (the group's name), ``images``,
        ``n`` (faces), ``bias`` in [0, 1] (nan without a face), and ``share_<cell>`` for each cell
        of the group (nan for the cells of other groups, and without a face).

    Raises:
        ArtifactError: See ``count_faces``.
        ConfigError: An attribute that the space does not have.
    """
    tables = []
    for attributes in groups:
        measured = count_faces(faces, space, attributes)
        n = measured.counts.sum(1)
        shares = measured.counts / np.where(n > 0, n, np.nan)[:, None]
        columns: dict[str, ArrayLike] = {
            "prompt_id": list(measured.prompts),
            "attribute": [measured.group] * len(measured.prompts),
            "images": measured.images,
            "n": n,
            "bias": parity_gaps(shares),
        }
        columns |= {f"share_{cell}": shares[:, i] for i, cell in enumerate(measured.cells)}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and population standard deviation of the per-prompt bias over prompts.

    Prompts are never pooled: opposite biases of two prompts would cancel. Prompts without a face
    have no bias; they are left out of the mean and counted.

    Args:
        table: From ``per_prompt``.

    Returns:
        One row per attribute, in the table's order: ``attribute``, ``mean``, ``sd``, ``prompts``
        (that the mean is over), ``prompts_without_face``, ``faces``.

    Raises:
        FaceError: An attribute for which no prompt has a face.
    """
    rows = []
    for attribute, part in table.groupby("attribute", sort=False):
        gaps = part["bias"].dropna().to_numpy(dtype=np.float64)
        if gaps.size == 0:
            raise FaceError(
                f"No image of any prompt has a face to measure '{attribute}' on",
                given=f"{len(part)} prompts",
                do="look at the images, the detector's threshold and its input size",
            )
        rows.append(
            {
                "attribute": attribute,
                "mean": float(gaps.mean()),
                "sd": float(gaps.std()),
                "prompts": gaps.size,
                "prompts_without_face": len(part) - gaps.size,
                "faces": int(part["n"].sum()),
            }
        )
    return pd.DataFrame(rows)


def _codes(column: pd.Series, name: str, classes: tuple[str, ...]) -> Int[np.ndarray, " n"]:
    """Class index of every class name."""
    codes = np.asarray(pd.Index(classes).get_indexer(pd.Index(column)), dtype=np.int64)
    if (codes < 0).any():
        raise ArtifactError(
            f"A face has a class of '{name}' that does not exist",
            given=sorted({str(value) for value in column[codes < 0]}),
            do=f"use {', '.join(classes)}",
        )
    return codes
