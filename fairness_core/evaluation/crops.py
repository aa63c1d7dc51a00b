"""Face crops as a detector would cut them: of drawings in memory, of photographs from disk."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.datasets import FaceDataset
from fairness_core.faces import crop_faces, expand_square

__all__ = ["DatasetCrops", "jittered_crops", "joined_labels"]

# Of the box's side: how far a detector's edges lie from the drawn ones.
JITTER = 0.06
ENLARGE = 1.5


def jittered_crops(
    images: UInt8[np.ndarray, "n h w 3"],
    boxes: Float[np.ndarray, "n 4"],
    *,
    size: int,
    generator: torch.Generator,
) -> Float[Tensor, "n 3 s s"]:
    """Cut faces out along boxes whose edges are moved at random, as a detector's would be.

    Args:
        images: RGB in 0..255.
        boxes: True boxes, px, x0 y0 x1 y1.
        size: Side of the crops, px.
        generator: Moves every edge by up to 6 % of the box's longer side, uniformly.

    Returns:
        Crops in [-1, 1].
    """
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    true = torch.from_numpy(boxes).float()
    moved = _moved(true, torch.rand(true.shape, generator=generator))
    present = torch.ones(len(true), dtype=torch.bool)
    return crop_faces(pixels, moved, present, size=size)


class DatasetCrops:
    """Labelled faces of data sets as crops in [-1, 1], decoded when they are asked for.

    Row i is always the same crop: its edges are moved once, as `jittered_crops` does. Only the
    pictures asked for are in memory, each as long as it takes to cut its face out.

    Attributes:
        parts: The data sets, whose rows follow each other.
        size: Side of the crops, px.
    """

    def __init__(
        self,
        parts: Sequence[FaceDataset],
        *,
        size: int,
        generator: torch.Generator,
        threads: int = 1,
    ) -> None:
        """Draw how far each edge is moved; decode nothing.

        Args:
            parts: Data sets, at least one.
            size: Side of the crops, px.
            generator: Moves the edges.
            threads: Pictures decoded at once.
        """
        self.parts, self.size, self.threads = tuple(parts), size, threads
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        self._draws = torch.rand(int(self._starts[-1]), 4, generator=generator)

    def __len__(self) -> int:
        """Number of faces."""
        return len(self._draws)

    def __getitem__(self, rows: Int[Tensor, " b"]) -> Float[Tensor, "b 3 s s"]:
        """Decode and cut these faces.

        Raises:
            DataError: A picture cannot be decoded.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            return torch.cat(list(pool.map(self._crop, rows.tolist())))

    def _crop(self, row: int) -> Float[Tensor, "1 3 s s"]:
        which = int(np.searchsorted(self._starts, row, side="right")) - 1
        part, place = self.parts[which], row - int(self._starts[which])
        image = part.image(place)
        box = torch.from_numpy(part.box(place, *image.shape[:2])).float()[None]
        moved = _moved(box, self._draws[row][None])
        left, top, right, bottom = _needed(moved, image.shape[:2], self.size)
        piece = torch.from_numpy(image[top:bottom, left:right]).permute(2, 0, 1)[None]
        shift = torch.tensor([left, top, left, top], dtype=torch.float32)
        present = torch.ones(1, dtype=torch.bool)
        return crop_faces(
            piece.float() / 127.5 - 1.0, moved - shift, present, size=self.size, enlarge=ENLARGE
        )


def joined_labels(
    parts: Sequence[FaceDataset], space: AttributeSpace
) -> tuple[Int[Tensor, "n a"], Bool[Tensor, "n a"]]:
    """Class indices of data sets that follow each other, and which of them there are.

    Args:
        parts: Each labels some of the attributes.
        space: Order of the columns.

    Returns:
        Class indices, 0 where a data set does not label the attribute, and whether it does.
    """
    labels, known = [], []
    for part in parts:
        found = torch.zeros(len(part), len(space.names), dtype=torch.long)
        mask = torch.zeros(len(part), len(space.names), dtype=torch.bool)
        for column, name in enumerate(part.attributes):
            found[:, space.names.index(name)] = torch.from_numpy(part.labels[:, column].copy())
            mask[:, space.names.index(name)] = True
        labels.append(found)
        known.append(mask)
    return torch.cat(labels), torch.cat(known)


def _moved(boxes: Float[Tensor, "n 4"], draws: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
    """Boxes whose edges are moved by up to JITTER of the longer side; draws in [0, 1)."""
    side = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
    return boxes + (2 * draws - 1) * JITTER * side


def _needed(box: Float[Tensor, "1 4"], shape: Sequence[int], size: int) -> tuple[int, ...]:
    """The pixels x0 y0 x1 y1 that a crop's filter reaches: of a large picture only a part."""
    height, width = shape
    left, top, right, bottom = expand_square(box, ENLARGE)[0].tolist()
    reach = math.ceil(max(1.0, (right - left) / size)) + 1
    # At least one pixel stays, also of a box that lies outside.
    x0 = min(max(math.floor(left) - reach, 0), width - 1)
    y0 = min(max(math.floor(top) - reach, 0), height - 1)
    x1 = min(max(math.ceil(right) + reach, x0 + 1), width)
    y1 = min(max(math.ceil(bottom) + reach, y0 + 1), height)
    return x0, y0, x1, y1
