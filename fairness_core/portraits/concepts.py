"""Every prompt that a run in the drawn world may use: the world's own, and further families.

The models that ship know the words of `world.catalog` and no others; sports, descriptors and
places are held out by word or by combination:

* sports and descriptors: three of the eight words of each are held out, alone and at every
  place; the other five train. Places themselves are in both.
* places: held-out occupations at each place are held out, training occupations train.
"""

from __future__ import annotations

import pandas as pd

from fairness_core.portraits.world import (
    DESCRIPTORS,
    PLACES,
    SPORTS,
    catalog,
    occupations,
    prompt_row,
    subject_planted,
)

__all__ = ["HELD_OUT", "prompt_catalog"]

# Some that the base model shows mostly as men and some mostly as women, in both halves.
HELD_OUT = {
    "sport": ("tennis", "gymnastics", "sailing"),
    "descriptor": ("serious", "brave", "famous"),
}
SPLIT = {"sport": "sports", "descriptor": "descriptors", "style": "styles"}
TEXT = {
    "sport": "a portrait of a person playing {}",
    "descriptor": "a portrait of a {} person",
}


def prompt_catalog() -> pd.DataFrame:
    """The world's catalog with further families split into training and held-out prompts.

    Ids and texts of `world.catalog` stay as they are, and so does the order of its rows; sports,
    descriptors and styles that train here are moved to split ``train``. A run visits those
    families that ``finetune.prompt_families`` names.
    """
    table = catalog()
    for family in SPLIT:
        own = table["family"] == family
        table.loc[own & ~_held(table, family), "split"] = "train"
    known = set(table["prompt"])
    more = pd.DataFrame([row for row in _rows() if row["prompt"] not in known])
    taken = table["prompt_id"].str.rpartition("-")[0].value_counts()
    number = more.groupby("split").cumcount() + more["split"].map(taken)
    ids = [f"{split}-{n:04d}" for split, n in zip(more["split"], number, strict=True)]
    more.insert(0, "prompt_id", ids)
    return pd.concat([table, more], ignore_index=True)


def _held(table: pd.DataFrame, family: str) -> pd.Series:
    """Whether a row's subject is a held-out word; the world's own styles show training ones."""
    return table["subject"].isin(HELD_OUT.get(family, ()))


def _rows() -> list[dict[str, object]]:
    rows = []
    for family, words in (("sport", SPORTS), ("descriptor", DESCRIPTORS)):
        for word in words:
            split = SPLIT[family] if word in HELD_OUT[family] else "train"
            planted = subject_planted(family, word)
            for place in ("", *PLACES):
                subject, text = f"{word} {place}".strip(), TEXT[family].format(word)
                prompt = f"{text} {place}".strip()
                rows.append(prompt_row(split, family, subject, prompt, planted))
    for held, split, each in ((False, "train", 2), (True, SPLIT["style"], 1)):
        chosen = [o for o in occupations() if o.split == ("test" if held else "train")][::each]
        for i, o in enumerate(chosen):
            place = PLACES[i % len(PLACES)]
            prompt = f"a portrait of a {o.name} {place}"
            rows.append(prompt_row(split, "style", f"{o.name} {place}", prompt, o.planted))
    return rows
