"""Where the labelled faces come from: drawn portraits, FairFace, CelebA; one part for each use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from fairness_core.datasets import FaceDataset, Provenance, Split, read_faces
from fairness_core.errors import ConfigError
from fairness_core.evaluation import DatasetCrops, jittered_crops, joined_labels, label_columns
from fairness_core.portraits.dataset import labelled_portraits
from fairness_core.portraits.world import ATTRIBUTES
from fairness_core.runtime import generator

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

    from fairness_core.attributes import AttributeSpace
    from fairness_core.classifiers import Crops

__all__ = ["SHARES", "Drawn", "Faces", "Photographed", "open_source"]

STEP = "calibrate_classifier"
PORTRAITS = "portraits"
# Of all images: each classifier's fit, the temperatures, and the test.
SHARES = {"train": 0.35, "audit": 0.35, "calibration": 0.1, "test": 0.2}
SPLITS: dict[str, Split] = {
    "train": "train",
    "audit": "train",
    "calibration": "val",
    "test": "test",
}


@dataclass(frozen=True)
class Faces:
    """Labelled face crops in [-1, 1].

    Attributes:
        crops: A tensor, or crops that are decoded when they are asked for.
        labels: Class index of each attribute; 0 where there is none.
        known: Which labels there are; None: all.
    """

    crops: Crops
    labels: Int[Tensor, "n a"]
    known: Bool[Tensor, "n a"] | None = None


@dataclass
class Drawn:
    """Portraits; a part's name is in every seed, so that no two parts share a face."""

    space: AttributeSpace
    images: int
    seed: int
    kept: dict[tuple[str, int], Faces] = field(default_factory=dict)

    about = (
        Provenance(
            "portraits drawn by this program",
            "Evenhand",
            "Apache-2.0; nobody real is shown",
            ("classes as drawn, in equal numbers",),
        ),
    )

    @property
    def counts(self) -> dict[str, int]:
        """Number of faces of each part."""
        return {part: max(2, round(share * self.images)) for part, share in SHARES.items()}

    def faces(self, part: str, size: int) -> Faces:
        """The faces of one part, drawn once for each size of crop."""
        if (part, size) not in self.kept:
            names = (STEP, self.seed, part)
            images, classes, boxes, _ = labelled_portraits(self.counts[part], *names)
            source = generator("crops", *names)
            crops = jittered_crops(images, boxes, size=size, generator=source)
            labels = torch.from_numpy(label_columns(classes, ATTRIBUTES, self.space)).long()
            self.kept[part, size] = Faces(crops, labels)
        return self.kept[part, size]


@dataclass(frozen=True)
class Photographed:
    """Pictures of data sets; no picture is in two parts."""

    space: AttributeSpace
    parts: Mapping[str, tuple[FaceDataset, ...]]
    seed: int
    threads: int

    @property
    def about(self) -> tuple[Provenance, ...]:
        """Provenance of each data set."""
        return tuple(part.about for part in self.parts["train"])

    @property
    def counts(self) -> dict[str, int]:
        """Number of faces of each part."""
        return {part: sum(map(len, sets)) for part, sets in self.parts.items()}

    def faces(self, part: str, size: int) -> Faces:
        """The faces of one part; nothing is decoded yet."""
        source = generator("crops", STEP, self.seed, part)
        crops = DatasetCrops(self.parts[part], size=size, generator=source, threads=self.threads)
        return Faces(crops, *joined_labels(self.parts[part], self.space))


def open_source(
    source: str | Mapping[str, str],
    space: AttributeSpace,
    *,
    images: int,
    merges: Mapping[str, Any],
    old_from: int,
    padding: float,
    seed: int,
    threads: int,
) -> Drawn | Photographed:
    """Open the labelled faces; of data sets all labels are read and checked here.

    Each classifier is fitted on half of the data sets' training pictures, drawn at random; the
    temperatures come from their validation split, the figures from their test split.

    Args:
        source: ``portraits``, ``fairface:FOLDER``, ``celeba:FOLDER``, or attribute to one of the
            last two.
        space: The attributes.
        images: Portraits drawn, or pictures used at most, drawn at random; in all.
        merges: Attribute to class to labels, in place of the published ones.
        old_from: FairFace: first year of one of its age groups from which a face is old.
        padding: FairFace: margin of its pictures.
        seed: The run's seed.
        threads: Pictures decoded at once.

    Raises:
        ConfigError: An attribute without a source, or one that its source does not label so.
        DataError: A data set is incomplete or has unknown labels.
    """
    if source == PORTRAITS:
        return Drawn(space, images, seed)
    by_name = dict.fromkeys(space.names, source) if isinstance(source, str) else dict(source)
    if set(by_name) != set(space.names):
        raise ConfigError(
            "Each attribute needs a source of labelled faces",
            given=", ".join(by_name),
            do=f"name one for each of {', '.join(space.names)}",
        )
    named: dict[str, list[str]] = {}
    for name in space.names:
        named.setdefault(by_name[name], []).append(name)
    parts: dict[str, list[FaceDataset]] = {part: [] for part in SHARES}
    for place, names in named.items():
        for split in dict.fromkeys(SPLITS.values()):
            faces = read_faces(
                place,
                split,
                space.subset(names),
                merges=merges,
                old_from=old_from,
                padding=padding,
            )
            users = [part for part in SHARES if SPLITS[part] == split]
            draw = generator(STEP, seed, faces.key, split, "parts")
            order = torch.randperm(len(faces), generator=draw).numpy()
            for i, part in enumerate(users):
                most = max(2, round(SHARES[part] * images / len(named)))
                parts[part].append(faces.take(order[i :: len(users)][:most]))
    return Photographed(space, {k: tuple(v) for k, v in parts.items()}, seed, threads)
