"""Which of a source's own labels make up each class of an attribute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from fairness_core.attributes import Attribute
from fairness_core.errors import ConfigError

__all__ = ["Merge", "classes_of_labels"]

Merge = Mapping[str, Sequence[str]]


def classes_of_labels(
    labels: Sequence[str],
    attribute: Attribute,
    *,
    whose: str,
    merge: Merge | None = None,
    published: Merge | None = None,
) -> tuple[int, ...]:
    """Find the class that each label of a data set or a model belongs to.

    Labels are compared without regard to case, hyphens and underscores.

    Args:
        labels: All labels that the source has.
        attribute: Its classes are what the labels become.
        whose: The source, for the messages.
        merge: Class to labels, as the user chose it; None: none chosen.
        published: Class to labels, used without a choice where the labels are not the classes'
            own names.

    Returns:
        Index of a class for each label.

    Raises:
        ConfigError: The merge has other classes than the attribute, or does not name every label
            exactly once.
    """
    own = {name: (name,) for name in attribute.classes}
    chosen: Merge | None = merge
    if chosen is None:
        same = sorted(map(_plain, labels)) == sorted(map(_plain, attribute.classes))
        chosen = own if same or published is None else published
    if set(chosen) != set(attribute.classes):
        raise ConfigError(
            f"The labels of {whose} are merged into other classes than attribute "
            f"'{attribute.name}' has",
            given=f"{', '.join(attribute.classes)}; merged into {', '.join(chosen)}",
            do=f"use those classes, or say in merges.{attribute.name} which of "
            f"{', '.join(labels)} make up each class",
        )
    index = {name: i for i, name in enumerate(attribute.classes)}
    named = [(_plain(label), index[name]) for name, parts in chosen.items() for label in parts]
    place = dict(named)
    known = {_plain(label): label for label in labels}
    extra = [label for plain, label in known.items() if plain not in place]
    missing = [label for parts in chosen.values() for label in parts if _plain(label) not in known]
    empty = [name for name, parts in chosen.items() if not parts]
    if extra or missing or empty or len(named) > len(place):
        raise ConfigError(
            f"The labels of {whose} do not fit the classes of attribute '{attribute.name}'",
            given=f"labels without a class: {', '.join(extra) or 'none'}; labels that {whose} does "
            f"not have: {', '.join(missing) or 'none'}; classes without a label: "
            f"{', '.join(empty) or 'none'}; named twice: "
            f"{', '.join(_twice([plain for plain, _ in named])) or 'none'}",
            do=f"name each of {', '.join(labels)} once in merges.{attribute.name}",
        )
    return tuple(place[_plain(label)] for label in labels)


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label).strip().casefold()


def _twice(names: Sequence[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})
