"""The prompt catalog: one row per prompt, checked as a whole before any step uses it."""

from __future__ import annotations

import difflib
from pathlib import Path

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError

__all__ = [
    "ALWAYS",
    "FAMILIES",
    "SCENES",
    "SPLITS",
    "check_catalog",
    "named_column",
    "planted_column",
    "planted_shares",
    "read_catalog",
    "select",
    "target_column",
]

# Prompts without people.
SCENES = "scenes"
# Splits that every evaluation has images of, where the catalog has them.
ALWAYS = ("named", SCENES)
# Stress packs: never trained on, evaluated where asked.
STRESS = ("triggers", "clothing", "history", "pairs")
HELD_OUT = ("validation", "test", "named", "sports", "descriptors", "styles", SCENES)
SPLITS = ("train", *HELD_OUT, *STRESS)
TRAINABLE = ("occupation", "sport", "descriptor", "style", "named", "scene")
FAMILIES = (*TRAINABLE, "trigger", "clothing", "history", "pair")
COLUMNS = ("prompt_id", "prompt", "split", "family", "subject")
SUM_TOLERANCE = 1e-4


def named_column(attribute: str) -> str:
    """Column that holds the class a prompt names, null where it names none."""
    return f"named_{attribute}"


def planted_column(attribute: str, name: str) -> str:
    """Column that holds the share of a class that the world planted for a prompt's subject."""
    return f"planted_{attribute}_{name}"


def target_column(attribute: str, name: str) -> str:
    """Column that holds the share wanted of a class, where a prompt has a target of its own."""
    return f"target_{attribute}_{name}"


def read_catalog(path: str | Path) -> pd.DataFrame:
    """Read a catalog of the owner's own from a ``.csv`` or ``.parquet`` file, unchecked.

    Raises:
        PromptError: The file is missing, of another kind, or cannot be read as a table.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".parquet"):
        raise PromptError(
            "A prompt catalog is a .csv or .parquet file", given=path, do="convert it to one"
        )
    if not path.is_file():
        raise PromptError("There is no prompt catalog here", given=path, do="check the path")
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (ValueError, OSError) as error:
        raise PromptError(
            f"The prompt catalog cannot be read ({type(error).__name__}: {error})",
            given=path,
            do="write it as a table with a header row",
        ) from error


def check_catalog(catalog: pd.DataFrame, space: AttributeSpace) -> pd.DataFrame:
    """Check a catalog and bring it to the schema every later step relies on.

    Args:
        catalog: Columns prompt_id, prompt, split, family, subject; optionally
            ``named_<attribute>`` (class name or null) and ``planted_<attribute>_<class>``
            (shares in [0, 1] that sum to 1 per attribute, or all null).
        space: The attributes; columns that belong to none of them are refused.

    Returns:
        A copy with a fresh index, stripped texts, and every ``named_`` and ``planted_`` column
        present (null where the catalog had none).

    Raises:
        PromptError: Everything that is wrong, in one message: no rows, missing or unknown
            columns, blank or repeated prompts, repeated ids, unknown splits, families or
            classes, planted shares that are no distribution.
    """
    missing = [name for name in COLUMNS if name not in catalog.columns]
    if missing:
        raise PromptError(
            f"The prompt catalog lacks the columns {', '.join(missing)}",
            given=f"columns {', '.join(map(str, catalog.columns))}",
            do=f"give {', '.join(COLUMNS)}",
        )
    if catalog.empty:
        raise PromptError("The prompt list is empty", do="give at least one prompt")
    table = catalog.reset_index(drop=True).copy()
    for name in COLUMNS:
        table[name] = table[name].fillna("").astype(str).str.strip()
    problems = [
        *_texts(table),
        *_words(table, "split", SPLITS),
        *_words(table, "family", FAMILIES),
        *_columns(table, space),
        *_named(table, space),
        *_planted(table, space),
    ]
    if problems:
        raise PromptError(
            "The prompt catalog has problems: " + "; ".join(problems),
            do="correct the rows named, all are listed",
        )
    return table


def _texts(table: pd.DataFrame) -> list[str]:
    problems = []
    for name in ("prompt_id", "prompt"):
        blank = int((table[name] == "").sum())
        if blank:
            problems.append(f"{blank} rows with a blank {name}")
    for name, key in (
        ("prompt_id", table["prompt_id"]),
        ("prompt", table["prompt"].str.casefold()),
    ):
        repeated = table.loc[key.duplicated() & (key != ""), name].unique()
        if len(repeated):
            problems.append(f"{name} repeated: {_some(repeated)}")
    return problems


def _words(table: pd.DataFrame, column: str, known: tuple[str, ...]) -> list[str]:
    problems = []
    for word in table.loc[~table[column].isin(known), column].unique():
        nearest = difflib.get_close_matches(str(word), known, n=1)
        hint = f"did you mean '{nearest[0]}'" if nearest else f"known are {', '.join(known)}"
        problems.append(f"unknown {column} '{word}' ({hint})")
    return problems


def _columns(table: pd.DataFrame, space: AttributeSpace) -> list[str]:
    known = {named_column(name) for name in space.names}
    known |= {planted_column(a.name, c) for a in space.attributes for c in a.classes}
    stray = [
        str(name)
        for name in table.columns
        if str(name).startswith(("named_", "planted_")) and name not in known
    ]
    return [f"columns of no attribute or class: {_some(stray)}"] if stray else []


def _named(table: pd.DataFrame, space: AttributeSpace) -> list[str]:
    problems = []
    for attribute in space.attributes:
        column = named_column(attribute.name)
        if column not in table.columns:
            table[column] = pd.Series([None] * len(table), dtype="object")
        values = table[column].dropna()
        unknown = values[~values.isin(attribute.classes)].unique()
        if len(unknown):
            problems.append(
                f"{column} holds {_some(unknown)} (known are {', '.join(attribute.classes)})"
            )
    names = [named_column(name) for name in space.names]
    mute = table["split"].eq("named") & table[names].isna().all(axis=1)
    if mute.any():
        problems.append(f"split 'named' but no attribute named: {_some(table.prompt_id[mute])}")
    return problems


def _planted(table: pd.DataFrame, space: AttributeSpace) -> list[str]:
    problems = []
    for attribute in space.attributes:
        names = [planted_column(attribute.name, c) for c in attribute.classes]
        for name in names:
            if name not in table.columns:
                table[name] = float("nan")
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
        shares = table[names]
        given = shares.notna().any(axis=1)
        right = (
            shares.ge(0).all(axis=1)
            & shares.le(1).all(axis=1)
            & shares.sum(axis=1).sub(1).abs().le(SUM_TOLERANCE)
        )
        if (given & ~right).any():
            problems.append(
                f"planted shares of {attribute.name} are no distribution in "
                f"{_some(table.prompt_id[given & ~right])}"
            )
    return problems


def _some(values: object, limit: int = 5) -> str:
    words = [f"'{value}'" for value in list(values)]  # type: ignore[call-overload]
    more = f" and {len(words) - limit} more" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def planted_shares(catalog: pd.DataFrame, space: AttributeSpace, attribute: str) -> pd.DataFrame:
    """Planted shares of one attribute, for the prompts that have any.

    Returns:
        Index prompt_id, one column per class, shares in [0, 1].

    Raises:
        ConfigError: No such attribute.
    """
    classes = space[attribute].classes
    names = [planted_column(attribute, c) for c in classes]
    shares = catalog.set_index("prompt_id")[names].astype(float).dropna()
    shares.columns = pd.Index(classes)
    return shares


def select(catalog: pd.DataFrame, split: str, family: str | None = None) -> pd.DataFrame:
    """Rows of one split, optionally of one family, in catalog order.

    Raises:
        PromptError: There is no such row; the message lists the splits that have rows.
    """
    chosen = catalog[catalog["split"] == split]
    if family is not None:
        chosen = chosen[chosen["family"] == family]
    if chosen.empty:
        counts = catalog["split"].value_counts(sort=False).to_dict()
        raise PromptError(
            f"The prompt list of split '{split}'"
            + (f", family '{family}'," if family else "")
            + " is empty",
            given=f"prompts per split: {counts}",
            do="choose a split that has prompts, or add some",
        )
    return chosen.reset_index(drop=True)
