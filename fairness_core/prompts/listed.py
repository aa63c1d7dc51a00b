"""A plain list of prompts, for an audit: text lines or a table, no catalog needed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from fairness_core.errors import PromptError
from fairness_core.prompts.catalog import read_catalog

__all__ = ["check_list", "read_list"]

LISTS = (".txt", ".csv", ".parquet")
# Ids name folders.
PROMPT_ID = re.compile(r"[\w][\w .+-]*")


def read_list(path: str | Path) -> pd.DataFrame:
    """Read prompts from a ``.txt`` file (one a line) or a table with a column ``prompt``.

    Args:
        path: ``.txt``, ``.csv`` or ``.parquet``. Without a column ``prompt_id``, and in a text
            file, prompts are called ``prompt-000``, ``prompt-001`` and so on, in their order.

    Returns:
        Columns prompt_id, prompt and, where the table has it, subject.

    Raises:
        PromptError: No such file or column, no prompt, or blank or repeated ids or prompts: all
            of them are named.
    """
    path = Path(path)
    if path.suffix not in LISTS:
        raise PromptError(
            f"A prompt list is one of {', '.join(LISTS)}", given=path, do="convert it to one"
        )
    if path.suffix != ".txt":
        return check_list(read_catalog(path), given=path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"The prompt list cannot be read: {error}",
            given=path,
            do="check the path; a text file is UTF-8, one prompt a line",
        ) from error
    return check_list(
        pd.DataFrame({"prompt": [line for line in lines if line.strip()]}), given=path
    )


def check_list(table: pd.DataFrame, *, given: object) -> pd.DataFrame:
    """Check a list of prompts and number those without an id.

    Args:
        table: Column prompt, optionally prompt_id and subject; others are left out.
        given: Named in errors.

    Raises:
        PromptError: See ``read_list``.
    """
    if "prompt" not in table.columns:
        raise PromptError(
            "The prompt list has no column 'prompt'",
            given=f"{given}: {', '.join(map(str, table.columns))}",
            do="name the column of the texts 'prompt' in the header row",
        )
    if table.empty:
        raise PromptError("The prompt list is empty", given=given, do="give at least one prompt")
    found = pd.DataFrame({"prompt": table["prompt"].fillna("").astype(str).str.strip().tolist()})
    if "prompt_id" in table.columns:
        ids = table["prompt_id"].fillna("").astype(str).str.strip().tolist()
    else:
        ids = [f"prompt-{i:03d}" for i in range(len(table))]
    found.insert(0, "prompt_id", ids)
    if "subject" in table.columns:
        found["subject"] = table["subject"].fillna("").astype(str).str.strip().tolist()
    problems = []
    for name, key in (
        ("prompt_id", found["prompt_id"]),
        ("prompt", found["prompt"].str.casefold()),
    ):
        if (blank := int((key == "").sum())) > 0:
            problems.append(f"{blank} rows with a blank {name}")
        repeated = found.loc[key.duplicated() & (key != ""), name].unique().tolist()
        if repeated:
            problems.append(f"{name} repeated: {', '.join(map(repr, repeated[:5]))}")
    odd = [i for i in ids if i and not PROMPT_ID.fullmatch(i)]
    if odd:
        problems.append(f"ids that cannot name a folder: {', '.join(map(repr, odd[:5]))}")
    if problems:
        raise PromptError(
            "The prompt list has problems: " + "; ".join(problems),
            given=given,
            do="list each prompt once",
        )
    return found
