"""Tables of labels: read as text, every label checked before any picture is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import DataError

__all__ = [
    "class_columns",
    "describe_merges",
    "numbers",
    "read_labels",
    "require_columns",
    "require_folder",
]

SHOWN = 3


def require_folder(folder: Path, name: str) -> Path:
    """Return the folder.

    Raises:
        DataError: There is none.
    """
    if not folder.is_dir():
        raise DataError(
            f"There is no folder of {name}",
            given=folder,
            do="give the folder it was unpacked in; nothing is downloaded",
        )
    return folder


def read_labels(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV file, or CelebA's text form of one, every value as text.

    The text form has values between spaces; its first line may be the number of rows and the next
    one the columns' names, with or without that of the first column.

    Args:
        path: The file, ``.csv`` or ``.txt``.
        columns: Those that must be there; they name the columns of a text file without names.

    Raises:
        DataError: The file is missing or no table, or lacks a column.
    """
    if not path.is_file():
        raise DataError(
            f"A table of labels is missing: {path.name}",
            given=path.parent,
            do="give the folder in its published layout",
        )
    as_text: dict[str, Any] = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    try:
        if path.suffix == ".csv":
            table = pd.read_csv(path, **as_text)
        else:
            names, skipped = _text_header(path, columns)
            table = pd.read_csv(
                path, sep=r"\s+", header=None, names=names, skiprows=skipped, **as_text
            )
    except (ValueError, OSError) as error:
        raise DataError(f"A table of labels cannot be read ({error})", given=path) from error
    return require_columns(table, columns, path)


def _text_header(path: Path, columns: Sequence[str]) -> tuple[list[str], int]:
    """Names of a text table's columns, and the lines before its first row."""
    with path.open(encoding="utf-8-sig") as file:
        first, second = file.readline().split(), file.readline().split()
    if len(first) != 1:
        return list(columns), 0
    return ([] if second[:1] == list(columns[:1]) else [columns[0]]) + second, 2


def require_columns(table: pd.DataFrame, columns: Sequence[str], path: Path) -> pd.DataFrame:
    """Return the table.

    Raises:
        DataError: It lacks a column.
    """
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"A table of labels lacks the columns {', '.join(missing)}",
            given=f"{path}: {', '.join(map(str, table.columns[:12]))}",
            do="use the table as it was published",
        )
    return table


def class_columns(
    table: pd.DataFrame, files: str, classes: Mapping[str, Mapping[str, int]], path: Path
) -> Int[np.ndarray, "n a"]:
    """Turn columns of labels into class indices, one column for each.

    Args:
        table: Texts.
        files: The column that names the pictures.
        classes: Column to label to class index.
        path: The table's file, for the message.

    Raises:
        DataError: Labels that are unknown: the first of each column with its row and picture, and
            the labels allowed.
    """
    problems, columns = [], []
    for name, known in classes.items():
        found = table[name].map(dict(known))
        bad = np.flatnonzero(found.isna())
        if len(bad):
            shown = ", ".join(
                f"'{table[name].iloc[i]}' in row {i + 1} ({table[files].iloc[i]})"
                for i in bad[:SHOWN]
            )
            problems.append(
                f"column '{name}' has {len(bad)}: {shown}; allowed are {', '.join(known)}"
            )
        columns.append(found.fillna(0).to_numpy(np.int64))
    if problems:
        raise DataError(
            "A table has unknown labels; " + ". ".join(problems),
            given=path,
            do="use the table as it was published, or correct these rows",
        )
    return np.stack(columns, axis=1)


def numbers(table: pd.DataFrame, columns: Sequence[str], path: Path) -> Float[np.ndarray, "n c"]:
    """Columns of texts as float32 numbers.

    Raises:
        DataError: A value is no number.
    """
    numeric = table[list(columns)].apply(pd.to_numeric, errors="coerce")
    values: np.ndarray = numeric.to_numpy(np.float32)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = (int(i) for i in bad[0])
        raise DataError(
            f"A table has a value that is no number: '{table[columns[column]].iloc[row]}' in row "
            f"{row + 1}, column '{columns[column]}'",
            given=path,
            do="use the table as it was published",
        )
    return values


def describe_merges(
    space: AttributeSpace, classes: Mapping[str, Mapping[str, int]]
) -> tuple[str, ...]:
    """One line for each attribute: every class and the labels it is made of."""
    lines = []
    for attribute in space.attributes:
        parts = [
            f"{name} = " + " + ".join(k for k, v in classes[attribute.name].items() if v == i)
            for i, name in enumerate(attribute.classes)
        ]
        lines.append(f"{attribute.name}: {'; '.join(parts)}")
    return tuple(lines)
