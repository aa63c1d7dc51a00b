"""Perceived attributes, their classes and the distribution that the owner chose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fairness_core.errors import ConfigError, TargetError
from fairness_core.shares import SUM_TOLERANCE, Joint, listed_shares, target_shares

__all__ = ["Attribute", "AttributeSpace"]


@dataclass(frozen=True)
class Attribute:
    """One perceived attribute.

    Attributes:
        name: Its key, such as ``gender``.
        classes: Class names, at least two, in the classifier's order.
        target: Desired share of each class, in [0, 1], summing to 1.

    Raises:
        ConfigError: Fewer than two classes, or a repeated class.
        TargetError: A share is negative or not finite, their number differs from the
            classes', or they do not sum to 1 within 1e-6.
    """

    name: str
    classes: tuple[str, ...]
    target: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) != len(self.classes):
            raise ConfigError(
                f"Attribute '{self.name}' needs at least two different classes",
                given=list(self.classes),
                do="list each class once",
            )
        if len(self.target) != len(self.classes):
            raise TargetError(
                f"Target of '{self.name}' has {len(self.target)} shares for "
                f"{len(self.classes)} classes",
                given=list(self.target),
                do=f"give one share for each of {', '.join(self.classes)}",
            )
        if any(not math.isfinite(share) or share < 0 for share in self.target):
            raise TargetError(
                f"Target of '{self.name}' has a share that is negative or not a number",
                given=list(self.target),
                do="use shares in [0, 1]",
            )
        total = math.fsum(self.target)
        if abs(total - 1.0) > SUM_TOLERANCE:
            raise TargetError(
                f"Target of '{self.name}' sums to {total:.6g}, not 1",
                given=list(self.target),
                do="choose shares that sum to 1, or write 'uniform'",
            )

    @property
    def size(self) -> int:
        """Number of classes."""
        return len(self.classes)


@dataclass(frozen=True)
class AttributeSpace:
    """Several attributes; a cell is one class of each, the last attribute varying fastest.

    Attributes:
        attributes: Each with its own target; for those of ``joint`` it is the table's marginal.
        joint: Target over the cells of some of them; the others are independent of it and of
            each other. None: all are independent.

    Raises:
        ConfigError: No attribute, or one named twice.
    """

    attributes: tuple[Attribute, ...]
    joint: Joint | None = None

    def __post_init__(self) -> None:
        if not self.attributes or len(set(self.names)) != len(self.attributes):
            raise ConfigError(
                "An attribute space needs at least one attribute, each named once",
                given=", ".join(self.names) or "none",
                do="name each attribute once",
            )

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Mapping[str, Any]], joint: Mapping[str, Any] | None = None
    ) -> AttributeSpace:
        """Build from ``{name: {"classes": [...], "target": ...}}``, see ``target_shares``.

        Args:
            mapping: The attributes.
            joint: None, or ``{"attributes": [names], "shares": {"female/light": 0.1, ...}}``: the
                target over their cells. Cells that are not listed have share 0. Each attribute's
                own target must be the table's marginal.

        Raises:
            ConfigError: No attribute, or bad classes.
            TargetError: A target that is not a distribution, or a table that is none, has unknown
                cells or contradicts an attribute's own target.
        """
        attributes = []
        for name, entry in mapping.items():
            classes = tuple(str(c) for c in entry["classes"])
            shares = target_shares(name, classes, entry.get("target", "uniform"))
            attributes.append(Attribute(name, classes, shares))
        space = cls(tuple(attributes))
        return space if joint is None else space._joined(joint)

    def _joined(self, joint: Mapping[str, Any]) -> AttributeSpace:
        part = self.subset(joint["attributes"])
        shares = listed_shares(joint["shares"], part.cell_names, "The joint target")
        total = math.fsum(shares)
        if len(part.names) < 2 or min(shares) < 0 or abs(total - 1.0) > SUM_TOLERANCE:
            raise TargetError(
                f"The joint target is no distribution over two or more attributes: it sums to "
                f"{total:.6g}, its smallest share is {min(shares):.6g}",
                given=f"attributes {', '.join(part.names)}",
                do="give shares >= 0 that sum to 1; cells that are not listed are 0",
            )
        table = Joint(part.names, part.sizes, shares)
        wrong = []
        for attribute in part.attributes:
            marginal = table.marginal((attribute.name,)).shares
            if max(abs(a - b) for a, b in zip(marginal, attribute.target, strict=True)) > 1e-6:
                wanted = ", ".join(f"{share:.6g}" for share in marginal)
                wrong.append(f"target of '{attribute.name}' must be [{wanted}]")
        if wrong:
            raise TargetError(
                "The joint target's marginals are not the attributes' own targets",
                given={a.name: list(a.target) for a in part.attributes},
                do="; ".join(wrong),
            )
        return replace(self, joint=table)

    def with_targets(self, targets: Mapping[str, Sequence[float]]) -> AttributeSpace:
        """The same attributes, some with another target: these no longer are part of ``joint``.

        Raises:
            ConfigError: No such attribute.
            TargetError: A target that is not a distribution.
        """
        attributes = tuple(
            replace(a, target=tuple(map(float, targets[a.name]))) if a.name in targets else a
            for a in self.attributes
        )
        for name in targets:
            self[name]
        kept = [name for name in self.names if name not in targets]
        return replace(self, attributes=attributes, joint=self._joint_of(kept))

    def _joint_of(self, names: Sequence[str]) -> Joint | None:
        """The joint target of those named, None where fewer than two are part of it."""
        if self.joint is None:
            return None
        kept = tuple(name for name in names if name in self.joint.names)
        if len(kept) < 2:
            return None
        return self.joint.marginal(kept)

    @property
    def names(self) -> tuple[str, ...]:
        """Attribute names, in order."""
        return tuple(a.name for a in self.attributes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of classes of each attribute."""
        return tuple(a.size for a in self.attributes)

    @property
    def width(self) -> int:
        """Number of classes over all attributes: the width of a classifier's output."""
        return sum(self.sizes)

    @property
    def slices(self) -> dict[str, slice]:
        """Where each attribute's classes lie in an array of ``width`` columns."""
        ends = list(itertools.accumulate(self.sizes))
        return {
            a.name: slice(end - a.size, end) for a, end in zip(self.attributes, ends, strict=True)
        }

    @cached_property
    def cells(self) -> tuple[tuple[int, ...], ...]:
        """Every combination of classes as class indices, shape (n_cells, n_attributes)."""
        return tuple(itertools.product(*(range(size) for size in self.sizes)))

    @property
    def n_cells(self) -> int:
        """Product of the attributes' sizes."""
        return math.prod(self.sizes)

    @property
    def cell_target(self) -> tuple[float, ...]:
        """Target share of each cell: joint table times independent attributes; sums to 1."""
        table = self.joint or Joint((), (), (1.0,))
        joint = dict(zip(table.cells, table.shares, strict=True))
        free = [a.name not in table.names for a in self.attributes]
        return tuple(
            math.prod(
                a.target[i]
                for a, i, alone in zip(self.attributes, cell, free, strict=True)
                if alone
            )
            * joint[tuple(cell[self.names.index(name)] for name in table.names)]
            for cell in self.cells
        )

    @property
    def cell_names(self) -> tuple[str, ...]:
        """Readable cell names, such as ``female/light``."""
        return tuple(
            "/".join(a.classes[i] for a, i in zip(self.attributes, cell, strict=True))
            for cell in self.cells
        )

    def __getitem__(self, name: str) -> Attribute:
        """The attribute of that name.

        Raises:
            ConfigError: No such attribute.
        """
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise ConfigError(
            f"There is no attribute '{name}'", do=f"choose among {', '.join(self.names)}"
        )

    def subset(self, names: Iterable[str]) -> AttributeSpace:
        """The same attributes, only those named, in the order named."""
        names = tuple(names)
        return AttributeSpace(tuple(self[name] for name in names), self._joint_of(names))
