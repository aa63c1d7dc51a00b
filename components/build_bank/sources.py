"""Where the bank's faces come from: each source gives labelled pictures and its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from fairness_core import __version__
from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError
from fairness_core.labels import Merge
from fairness_core.types import LabelledImage

__all__ = ["Merging", "Source", "cut_face", "open_source"]

STEP = "build_bank"
# Side of what is cut out of a photograph over its face's box: other people stay outside, and the
# detector has the head and some of what is around it.
AROUND = 2.0


@dataclass(frozen=True)
class Merging:
    """How a data set's labels become classes: what ``calibrate_classifier`` says.

    Attributes:
        merges: Attribute to class to labels, in place of the published ones.
        old_from: FairFace: first year of one of its age groups from which a face is old.
        padding: FairFace: margin of its pictures.
    """

    merges: Mapping[str, Merge]
    old_from: int
    padding: float


@dataclass(frozen=True)
class Source:
    """Pictures to read once, and what the manifest says of them.

    Attributes:
        pictures: Those read.
        about: What they are and who made them.
        licence: Their terms, in short.
        labels: How a data set's labels became classes, one line for each attribute.
    """

    pictures: Iterable[LabelledImage]
    about: str
    licence: str
    labels: tuple[str, ...] = ()


def open_source(
    name: str, images: int, space: AttributeSpace, seed: int, merging: Merging
) -> Source:
    """Open the pictures of a source; of a data set all labels are read and checked here.

    Args:
        name: ``portraits``, ``fairface:FOLDER`` or ``celeba:FOLDER``.
        images: How many, at most; fewer than a data set has are drawn at random.
        space: Attributes whose labels are wanted; a data set may label some of them only.
        seed: The run's.
        merging: How a data set's labels become classes.

    Raises:
        ConfigError: No such source, or its labels are not these classes.
        DataError: A data set is incomplete or has unknown labels.
    """
    kind, _, folder = name.partition(":")
    if kind not in SOURCES or (kind == "portraits") == bool(folder):
        raise ConfigError(
            "There is no such source of faces",
            given=name,
            do="use portraits, fairface:FOLDER or celeba:FOLDER",
        )
    return SOURCES[kind](name, images, space, seed, merging)


def _portraits(
    name: str, images: int, space: AttributeSpace, seed: int, merging: Merging
) -> Source:
    """Drawn faces, every combination of classes in turn; none of them was drawn before."""
    import torch

    from fairness_core.evaluation import label_columns
    from fairness_core.portraits.dataset import labelled_portraits
    from fairness_core.portraits.world import ATTRIBUTES

    drawn, classes, _, _ = labelled_portraits(images, STEP, seed)
    columns = label_columns(classes, ATTRIBUTES, space)
    pixels = torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1.0

    def pictures() -> Iterator[LabelledImage]:
        for i, row in enumerate(columns):
            labels = {a.name: a.classes[k] for a, k in zip(space.attributes, row, strict=True)}
            yield LabelledImage(pixels[i], labels, f"portrait-{seed}-{i:06d}")

    return Source(
        pictures(),
        about=f"portraits drawn by evenhand {__version__}, seed {seed}",
        licence="drawn by this program, of nobody; Apache-2.0 as the program",
    )


def _photographs(
    name: str, images: int, space: AttributeSpace, seed: int, merging: Merging
) -> Source:
    """Photographs of a data set's training part, each cut to its labelled face."""
    import torch

    from fairness_core.datasets import LABELLED, read_faces
    from fairness_core.runtime import generator

    known = LABELLED[name.partition(":")[0]]
    names = [a for a in space.names if a in known]
    if not names:
        raise ConfigError(
            "The source of the bank labels none of the attributes",
            given=f"{name}; {', '.join(space.names)}",
            do=f"use another source; this one labels {', '.join(known)}",
        )
    labelled = space.subset(names)
    faces = read_faces(
        name,
        "train",
        labelled,
        merges=merging.merges,
        old_from=merging.old_from,
        padding=merging.padding,
    )
    if images < len(faces):
        order = torch.randperm(len(faces), generator=generator(STEP, seed, faces.key))
        faces = faces.take(order[:images].sort().values.numpy())

    def pictures() -> Iterator[LabelledImage]:
        for row, (image, classes, source) in enumerate(faces.examples()):
            piece = cut_face(image, faces.box(row, *image.shape[:2]))
            pixels = torch.from_numpy(piece).permute(2, 0, 1).float() / 127.5 - 1.0
            labels = {a.name: a.classes[classes[a.name]] for a in labelled.attributes}
            yield LabelledImage(pixels, labels, source)

    about = faces.about
    return Source(
        pictures(),
        about=f"{about.name}, training part ({about.citation})",
        licence=about.licence,
        labels=about.labels,
    )


def cut_face(
    image: UInt8[np.ndarray, "h w 3"], box: Float[np.ndarray, " 4"]
) -> UInt8[np.ndarray, "y x 3"]:
    """The square around a face of twice its size, as far as it lies in the image, or one pixel.

    Args:
        image: RGB in 0..255.
        box: Of the face, px, x0 y0 x1 y1; may lie outside.
    """
    import torch

    from fairness_core.faces import expand_square

    height, width = image.shape[:2]
    square = expand_square(torch.from_numpy(box)[None].float(), AROUND)[0]
    left, top, right, bottom = square.round().int().tolist()
    x0, y0 = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    return image[y0 : max(bottom, y0 + 1), x0 : max(right, x0 + 1)]


Opener = Callable[[str, int, AttributeSpace, int, Merging], Source]
SOURCES: dict[str, Opener] = {
    "portraits": _portraits,
    "fairface": _photographs,
    "celeba": _photographs,
}
