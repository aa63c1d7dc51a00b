"""A labelled data set of faces: a table in memory, pictures decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from fairness_core.datasets.images import decode
from fairness_core.errors import DataError

__all__ = ["Example", "FaceDataset", "Provenance"]


@dataclass(frozen=True)
class Provenance:
    """Where pictures come from and what may be done with them.

    Attributes:
        name: The data set.
        citation: Who made it.
        licence: Its terms, in short; the data set's own text counts.
        labels: How its labels became classes, one line for each attribute.
    """

    name: str
    citation: str
    licence: str
    labels: tuple[str, ...] = ()


class Example(NamedTuple):
    """One picture: RGB in 0..255, attribute to class index, and where it comes from."""

    image: UInt8[np.ndarray, "h w 3"]
    labels: dict[str, int]
    source: str


@dataclass(frozen=True)
class FaceDataset:
    """One split of a data set, each picture showing one labelled face.

    Attributes:
        key: Short name, first part of every source id.
        root: Where the files' paths start.
        files: Path of each picture.
        attributes: Names of the labels' columns.
        labels: Class indices.
        boxes: The face in each picture, x0 y0 x1 y1: px, or shares of width and height.
        shares: Whether the boxes are shares.
        about: Provenance.
    """

    key: str
    root: Path
    files: tuple[str, ...]
    attributes: tuple[str, ...]
    labels: Int[np.ndarray, "n a"]
    boxes: Float[np.ndarray, "n 4"]
    shares: bool
    about: Provenance

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.files)

    def source(self, row: int) -> str:
        """Source id, such as ``fairface:train/1.jpg``."""
        return f"{self.key}:{self.files[row]}"

    def image(self, row: int) -> UInt8[np.ndarray, "h w 3"]:
        """Decode one picture, RGB in 0..255.

        Raises:
            DataError: It cannot be decoded.
        """
        return decode(self.root / self.files[row])

    def box(self, row: int, height: int, width: int) -> Float[np.ndarray, " 4"]:
        """The face's box in px of a picture of that size."""
        scale = (width, height, width, height) if self.shares else (1, 1, 1, 1)
        found: np.ndarray = self.boxes[row] * np.array(scale, np.float32)
        return found

    def examples(self) -> Iterator[Example]:
        """Yield every picture with its labels, decoded one at a time, in the table's order.

        Raises:
            DataError: A picture cannot be decoded.
        """
        for row in range(len(self)):
            named = zip(self.attributes, self.labels[row].tolist(), strict=True)
            yield Example(self.image(row), dict(named), self.source(row))

    def take(self, rows: Int[np.ndarray, " m"]) -> FaceDataset:
        """The same data set, only these rows, in this order."""
        return replace(
            self,
            files=tuple(self.files[row] for row in rows),
            labels=self.labels[rows],
            boxes=self.boxes[rows],
        )

    def require_files(self) -> FaceDataset:
        """Return the data set itself.

        Raises:
            DataError: It is empty, or a picture's file is missing.
        """
        if not self.files:
            raise DataError(f"{self.about.name} has no picture in this split", given=self.root)
        lost = [name for name in self.files if not (self.root / name).is_file()]
        if lost:
            raise DataError(
                f"{self.about.name} lacks {len(lost)} of {len(self.files)} pictures",
                given=self.root / lost[0],
                do="unpack all its images beside the tables",
            )
        return self
