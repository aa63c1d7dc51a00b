"""Where the bank's faces come from: each source gives labelled pictures and its provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from fairness_core import __version__
from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError
from fairness_core.types import LabelledImage

__all__ = ["Source", "open_source"]


@dataclass(frozen=True)
class Source:
    """Pictures to read once, and what the manifest says of them."""

    pictures: Iterable[LabelledImage]
    about: str
    licence: str


def open_source(name: str, images: int, space: AttributeSpace, seed: int) -> Source:
    """The first pictures of a source.

    Args:
        name: ``portraits``.
        images: How many, at most.
        space: Attributes whose labels are wanted.
        seed: Of drawn pictures.

    Raises:
        ConfigError: No such source, or its labels are not these classes.
    """
    if name not in SOURCES:
        raise ConfigError(
            "There is no such source of faces", given=name, do=f"use {' or '.join(SOURCES)}"
        )
    return SOURCES[name](images, space, seed)


def _portraits(images: int, space: AttributeSpace, seed: int) -> Source:
    """Drawn faces, every combination of classes in turn; none of them was drawn before."""
    import torch

    from fairness_core.evaluation import label_columns
    from fairness_core.portraits.dataset import labelled_portraits
    from fairness_core.portraits.world import ATTRIBUTES

    drawn, classes, _, _ = labelled_portraits(images, "build_bank", seed)
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


SOURCES: dict[str, Callable[[int, AttributeSpace, int], Source]] = {"portraits": _portraits}
