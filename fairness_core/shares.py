"""Target shares as they are written down: words, lists, mappings and joint tables."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairness_core.errors import TargetError

__all__ = ["SUM_TOLERANCE", "Joint", "listed_shares", "target_shares"]

SUM_TOLERANCE = 1e-6


def _nearest(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"'{name}' (did you mean '{close[0]}'?)" if close else f"'{name}'"


def listed_shares(
    shares: Mapping[str, float], names: Sequence[str], whose: str
) -> tuple[float, ...]:
    """Shares by name, in the names' order; 0 where none is given.

    Raises:
        TargetError: Names that do not exist, with the nearest that do.
    """
    unknown = [str(name) for name in shares if str(name) not in names]
    if unknown:
        raise TargetError(
            f"{whose} has shares of {', '.join(_nearest(name, names) for name in unknown)}",
            given=dict(shares),
            do=f"there are {', '.join(names)}",
        )
    return tuple(float(shares.get(name, 0.0)) for name in names)


def target_shares(name: str, classes: Sequence[str], target: object) -> tuple[float, ...]:
    """A target as one share for each class: from ``uniform``, a list, or class names to shares.

    A class that a mapping leaves out has share 0. Shares of 0 are allowed: no image is ever asked
    to become of such a class, and a face of it counts as any other in what is measured.

    Args:
        name: The attribute.
        classes: Its classes.
        target: As in params.yaml.

    Returns:
        Shares in the classes' order, not yet checked to be a distribution.

    Raises:
        TargetError: Another word, or classes that do not exist.
    """
    if isinstance(target, str):
        if target != "uniform":
            raise TargetError(
                f"Target of '{name}' is a word other than 'uniform'",
                given=target,
                do="write 'uniform' or a list of shares",
            )
        return tuple(1.0 / len(classes) for _ in classes)
    if isinstance(target, Mapping):
        return listed_shares(target, classes, f"Target of '{name}'")
    return tuple(float(share) for share in target)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Joint:
    """A target over the cells of several attributes that are not independent.

    Attributes:
        names: The attributes.
        sizes: Number of classes of each.
        shares: Share of each cell, the last attribute varying fastest; sums to 1.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    shares: tuple[float, ...]

    @property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """Every combination of classes as class indices."""
        return tuple(itertools.product(*(range(size) for size in self.sizes)))

    def marginal(self, names: Sequence[str]) -> Joint:
        """The table of some of the attributes, in the order named: summed over the others."""
        places = [self.names.index(name) for name in names]
        sizes = tuple(self.sizes[place] for place in places)
        sums = dict.fromkeys(itertools.product(*(range(size) for size in sizes)), 0.0)
        for cell, share in zip(self.cells, self.shares, strict=True):
            sums[tuple(cell[place] for place in places)] += share
        return Joint(tuple(names), sizes, tuple(sums.values()))
