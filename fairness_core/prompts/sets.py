"""Prompt sets that ship with the package, as data files with source, licence and date.

A set is a CSV file under ``shipped/``. Lines ``# key: value`` come first: ``name``, ``source``,
``licence``, ``date``, ``family``, and ``split`` where all rows share one. Columns: ``subject``,
``split`` where they do not, ``prompt`` where no ``template`` writes it, and ``named_<attribute>``
where the prompt asks for a class.

The template's "a" is the paper's and stays before a vowel too ("a actuary"): the figures of the
paper are for prompts written so. Templates with "a" elsewhere keep the same rule.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError
from fairness_core.prompts.templates import fill

__all__ = ["SETS", "PromptSet", "photo_catalog", "read_set"]

FOLDER = Path(__file__).with_name("shipped")
# In the order of the catalog.
SETS = (
    "occupations-train",
    "occupations-validation",
    "occupations-test",
    "sports",
    "descriptors",
    "styles",
    "named",
    "triggers",
    "clothing",
    "history",
    "pairs",
    "scenes",
)
FACTS = ("name", "source", "licence", "date", "family")


@dataclass(frozen=True)
class PromptSet:
    """One file.

    Attributes:
        facts: What its first lines say: name, source, licence, date, family and more.
        table: prompt, split, family, subject and any ``named_<attribute>``.
    """

    facts: dict[str, str]
    table: pd.DataFrame


def read_set(name: str | Path) -> PromptSet:
    """Read a shipped set by name, or any file of that layout by path.

    Raises:
        PromptError: No such set, a line or column is missing, or the file is no table.
    """
    path = FOLDER / f"{name}.csv" if name in SETS else Path(name)
    if not path.is_file():
        raise PromptError("There is no such prompt set", given=name, do=f"use {', '.join(SETS)}")
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    pairs = [line.lstrip("# ").strip().partition(": ") for line in lines[:count]]
    facts = {key: value.strip() for key, _, value in pairs}
    absent = [key for key in FACTS if not facts.get(key)]
    if absent:
        raise PromptError(
            f"A prompt set does not state its {', '.join(absent)}",
            given=path.name,
            do="begin the file with lines '# key: value'",
        )
    try:
        table = pd.read_csv(io.StringIO("".join(lines[count:])), dtype=str)
    except ValueError as error:
        raise PromptError(f"A prompt set is no table ({error})", given=path.name) from error
    missing = [
        column
        for column, fact in (("subject", ""), ("split", "split"), ("prompt", "template"))
        if column not in table.columns and not facts.get(fact)
    ]
    if missing:
        raise PromptError(
            f"A prompt set lacks {', '.join(missing)}",
            given=path.name,
            do="add the column; 'split' and 'template' may stand in the first lines instead",
        )
    if "prompt" not in table.columns:
        table["prompt"] = fill(facts["template"], table["subject"].fillna(""))
    if "split" not in table.columns:
        table["split"] = facts["split"]
    table["family"] = facts["family"]
    named = [name for name in table.columns if name.startswith("named_")]
    return PromptSet(facts, table[["prompt", "split", "family", "subject", *named]])


def photo_catalog(space: AttributeSpace) -> pd.DataFrame:
    """All shipped sets as one catalog, for models of photographs; one row for each prompt.

    Prompts that name a class of an attribute that is not measured, or a class that is not among
    its classes, cannot be checked and are left out.

    Args:
        space: The measured attributes.

    Returns:
        prompt_id (split and number), prompt, split, family, subject, named_<attribute>.
    """
    table = pd.concat([read_set(name).table for name in SETS], ignore_index=True)
    for column in [name for name in table.columns if name.startswith("named_")]:
        attribute = column.removeprefix("named_")
        classes = space[attribute].classes if attribute in space.names else ()
        table = table[table[column].isna() | table[column].isin(classes)]
        table = table if classes else table.drop(columns=column)
    table = table.reset_index(drop=True)
    number = table.groupby("split").cumcount()
    ids = [f"{split}-{n:04d}" for split, n in zip(table["split"], number, strict=True)]
    table.insert(0, "prompt_id", ids)
    return table
