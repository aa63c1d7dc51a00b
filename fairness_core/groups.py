"""Which attributes are measured together, and what that is called."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["group_name", "measured_groups"]


def group_name(attributes: Sequence[str]) -> str:
    """The name of one attribute, or of several measured jointly: ``gender_x_race``."""
    return "_x_".join(attributes)


def measured_groups(attributes: Sequence[str]) -> list[tuple[str, ...]]:
    """Every attribute alone, and the first two jointly where there are two (paper, Table 1)."""
    alone = [(name,) for name in attributes]
    return [*alone, tuple(attributes[:2])] if len(alone) > 1 else list(alone)
