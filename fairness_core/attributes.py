"""Perceived attributes, their classes and the distribution that the owner chose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fairness_core.errors import ConfigError, TargetError

__all__ = ["Attribute", "AttributeSpace"]

SUM_TOLERANCE = 1e-6


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
    """Several attributes; a cell is one class of each, the last attribute varying fastest."""

    attributes: tuple[Attribute, ...]

    def __post_init__(self) -> None:
        if not self.attributes or len(set(self.names)) != len(self.attributes):
            raise ConfigError(
                "An attribute space needs at least one attribute, each named once",
                given=[a.name for a in self.attributes],
            )

    @classmethod
    def from_mapping(
        cls, mapping: Mapping[str, Mapping[str, Sequence[str] | Sequence[float] | str]]
    ) -> AttributeSpace:
        """Build from ``{name: {"classes": [...], "target": [...] | "uniform"}}``.

        Raises:
            ConfigError: No attribute, or bad classes.
            TargetError: A target that is not a distribution.
        """
        attributes = []
        for name, entry in mapping.items():
            classes = tuple(str(c) for c in entry["classes"])
            target = entry.get("target", "uniform")
            if isinstance(target, str):
                if target != "uniform":
                    raise TargetError(
                        f"Target of '{name}' is a word other than 'uniform'",
                        given=target,
                        do="write 'uniform' or a list of shares",
                    )
                shares = tuple(1.0 / len(classes) for _ in classes)
            else:
                shares = tuple(float(share) for share in target)
            attributes.append(Attribute(name, classes, shares))
        return cls(tuple(attributes))

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
        """Target share of each cell when the attributes are independent; sums to 1."""
        return tuple(
            math.prod(a.target[i] for a, i in zip(self.attributes, cell, strict=True))
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
        return AttributeSpace(tuple(self[name] for name in names))
