"""Targets of single prompts: other shares than the run's, written into the catalog."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import EvenhandError, TargetError
from fairness_core.prompts.catalog import read_catalog, target_column
from fairness_core.shares import target_shares

__all__ = ["apply_overrides", "own_shares", "own_targets", "prompt_spaces", "read_overrides"]

COLUMNS = ("prompt", "attribute", "class", "share")
Overrides = Mapping[str, Mapping[str, Any]]


def read_overrides(path: str | Path) -> dict[str, dict[str, dict[str, float]]]:
    """Read a table of columns prompt (or subject), attribute, class, share.

    Returns:
        Shares by class, attribute and prompt; classes that a prompt does not list have share 0.

    Raises:
        PromptError: The file is missing or no table.
        TargetError: Columns are missing, a share is no number, or a class is given twice.
    """
    table = read_catalog(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise TargetError(
            f"A table of targets lacks {', '.join(missing)}",
            given=path,
            do=f"give columns {', '.join(COLUMNS)}",
        )
    shares = pd.to_numeric(table["share"], errors="coerce")
    twice = table.duplicated(["prompt", "attribute", "class"])
    bad = shares.isna() | twice
    if bad.any():
        raise TargetError(
            "A table of targets has shares that are no number or classes given twice",
            given=f"{path}, rows {', '.join(str(row + 2) for row in table.index[bad][:10])}",
            do="give each prompt, attribute and class one share in [0, 1]",
        )
    found: dict[str, dict[str, dict[str, float]]] = {}
    names = table[["prompt", "attribute", "class"]].astype(str)
    for (prompt, attribute, label), share in zip(
        names.itertuples(index=False), shares, strict=True
    ):
        found.setdefault(prompt, {}).setdefault(attribute, {})[label] = float(share)
    return found


def apply_overrides(
    catalog: pd.DataFrame, space: AttributeSpace, overrides: Overrides
) -> pd.DataFrame:
    """Write targets of single prompts into ``target_<attribute>_<class>`` of the catalog.

    Args:
        catalog: Checked catalog.
        space: The attributes.
        overrides: By subject or whole prompt (case does not count), by attribute: a target as in
            params.yaml. All prompts of that subject get it, in training and evaluation.

    Returns:
        A copy; without overrides the catalog as it was.

    Raises:
        TargetError: Everything that is wrong: prompts, attributes and classes that do not exist,
            with the nearest names, and shares that are no distribution.
    """
    table, problems = catalog.copy(), []
    subjects, prompts = (catalog[name].str.casefold() for name in ("subject", "prompt"))
    known = sorted({*subjects, *prompts})
    for prompt, targets in overrides.items():
        word = prompt.strip().casefold()
        rows = subjects.eq(word) | prompts.eq(word)
        if not rows.any():
            problems.append(f"no prompt or subject {_nearest(word, known)}")
        for name, target in targets.items():
            if name not in space.names:
                problems.append(f"'{prompt}': no attribute {_nearest(name, space.names)}")
                continue
            try:
                shares = target_shares(name, space[name].classes, target)
                space.with_targets({name: shares})
            except EvenhandError as error:
                problems.append(f"'{prompt}': {error.what}")
                continue
            for label, share in zip(space[name].classes, shares, strict=True):
                table.loc[rows, target_column(name, label)] = share
    if problems:
        raise TargetError(
            "Targets of single prompts have problems: " + "; ".join(problems),
            do="correct targets.overrides, all problems are listed",
        )
    return table


def own_targets(
    prompts: pd.DataFrame, space: AttributeSpace, overrides: Overrides
) -> tuple[pd.DataFrame, list[str]]:
    """Targets of single prompts for a list that need not be the run's catalog.

    Args:
        prompts: From ``read_list``: prompt_id, prompt and optionally subject.
        space: The attributes.
        overrides: See ``apply_overrides``.

    Returns:
        The list with the columns of ``apply_overrides``, and the overrides that concern no prompt
        of it.

    Raises:
        TargetError: Attributes or classes that do not exist, or shares that are no distribution.
    """
    table = prompts if "subject" in prompts.columns else prompts.assign(subject="")
    known = {*table["subject"].str.casefold(), *table["prompt"].str.casefold()}
    here = {name: value for name, value in overrides.items() if name.strip().casefold() in known}
    return apply_overrides(table, space, here), [name for name in overrides if name not in here]


def _nearest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"'{name}'" + (f" (did you mean '{close[0]}'?)" if close else "")


def prompt_spaces(catalog: pd.DataFrame, space: AttributeSpace) -> dict[str, AttributeSpace]:
    """The space of each prompt that has targets of its own, by prompt_id.

    An attribute with a target of its own is independent of the others in that prompt, also where
    the run's target is joint.
    """
    targets: dict[str, dict[str, tuple[float, ...]]] = {}
    for attribute in space.attributes:
        columns = [target_column(attribute.name, label) for label in attribute.classes]
        if not set(columns) <= set(catalog.columns):
            continue
        own = catalog.set_index("prompt_id")[columns].dropna()
        for prompt_id, *shares in own.itertuples():
            targets.setdefault(str(prompt_id), {})[attribute.name] = tuple(map(float, shares))
    return {prompt_id: space.with_targets(own) for prompt_id, own in targets.items()}


def own_shares(
    catalog: pd.DataFrame, space: AttributeSpace
) -> dict[str, dict[str, dict[str, float]]]:
    """Shares by class, attribute and prompt_id, where they are other than the space's."""
    return {
        prompt_id: {
            a.name: dict(zip(a.classes, a.target, strict=True))
            for a in own.attributes
            if a.target != space[a.name].target
        }
        for prompt_id, own in prompt_spaces(catalog, space).items()
    }
