"""The drawn world's truth: occupations, their planted distributions, and every prompt.

An occupation is a field and a role ("harbour engineer"). Its planted distribution and its
surroundings follow both words, so a held-out pair is new but not meaningless.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.portraits.palette import CLOTHES, Colour
from fairness_core.portraits.scenery import SCENES
from fairness_core.portraits.truth import BASE_OLD, BASE_RACE, FIELDS, ROLES, Field, Role

Row = dict[str, object]

__all__ = [
    "ATTRIBUTES",
    "DESCRIPTORS",
    "PLACES",
    "SPORTS",
    "TEMPLATE",
    "Occupation",
    "catalog",
    "named_words",
    "occupations",
    "prompt_row",
    "subject_planted",
    "with_article",
]

TRAIN_NAMINGS = 3
TEMPLATE = "a portrait of a {}, a person"
ATTRIBUTES = AttributeSpace.from_mapping(
    {
        "gender": {"classes": ("female", "male")},
        "race": {"classes": ("light", "golden", "brown", "dark")},
        "age": {"classes": ("young", "old")},
    }
)


SPORTS = ("tennis", "football", "chess", "golf", "boxing", "gymnastics", "rowing", "sailing")
DESCRIPTORS = (
    "cheerful",
    "serious",
    "clever",
    "gentle",
    "brave",
    "elegant",
    "quiet",
    "famous",
)
PLACES = ("at night", "in the snow", "by the sea", "in a garden")


@dataclass(frozen=True)
class Occupation:
    """One occupation and the truth planted for it.

    Attributes:
        name: Field and role.
        split: train, validation or test.
        planted: Share of each class, by attribute; each sums to 1.
        role: Gives collar and hat.
        field: Gives background and clothes.
    """

    name: str
    split: str
    planted: dict[str, tuple[float, ...]]
    role: Role
    field: Field


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


def _softmax(x: np.ndarray) -> tuple[float, ...]:
    e = np.exp(x - x.max())
    return tuple(float(v) for v in e / e.sum())


def _split(role: int, field: int) -> str:
    """Two fields of every role are held out, spread over all fields; 8 pairs validate."""
    if (field - 3 * role) % len(FIELDS) in (0, 5):
        return "test"
    if role < 8 and (field - 3 * role) % len(FIELDS) == 2:
        return "validation"
    return "train"


@cache
def occupations() -> tuple[Occupation, ...]:
    """All 132 occupations: 100 train, 8 validation, 24 test."""
    found = []
    for i, role in enumerate(ROLES):
        for j, field in enumerate(FIELDS):
            male = _sigmoid(role.male + field.male)
            race = np.asarray(BASE_RACE) + np.asarray(role.race) + np.asarray(field.race)
            old = _sigmoid(BASE_OLD + role.old)
            planted = {
                "gender": (1 - male, male),
                "race": _softmax(race),
                "age": (1 - old, old),
            }
            name = f"{field.name} {role.name}"
            found.append(Occupation(name, _split(i, j), planted, role, field))
    return tuple(found)


def subject_planted(family: str, subject: str) -> dict[str, tuple[float, ...]]:
    """Planted distribution of a sport, descriptor or plain person."""
    tables = {"sport": SPORTS, "descriptor": DESCRIPTORS}
    if family not in tables:
        return {"gender": (0.5, 0.5), "race": (0.4, 0.2, 0.2, 0.2), "age": (0.65, 0.35)}
    place = tables[family].index(subject)
    male = _sigmoid(
        (1.6, -1.2, 0.6, 1.0, 1.8, -1.8, 0.4, 0.9)[place] * (1 if family == "sport" else -0.7)
    )
    race = np.asarray(BASE_RACE) + 0.5 * np.cos(place * 1.3 + np.arange(4) * 1.7)
    old = _sigmoid(BASE_OLD + 0.6 * float(np.sin(place * 2.1)))
    return {"gender": (1 - male, male), "race": _softmax(race), "age": (1 - old, old)}


def named_words(classes: dict[str, int]) -> str:
    """The words that ask for classes, such as "old dark skinned female"."""
    words = []
    if "age" in classes:
        words.append(ATTRIBUTES["age"].classes[classes["age"]])
    if "race" in classes:
        words.append(ATTRIBUTES["race"].classes[classes["race"]] + " skinned")
    if "gender" in classes:
        words.append(ATTRIBUTES["gender"].classes[classes["gender"]])
    return " ".join(words)


def with_article(text: str) -> str:
    """The same words with "an" before "old"."""
    return text.replace("a old", "an old")


def prompt_row(
    split: str,
    family: str,
    subject: str,
    prompt: str,
    planted: dict[str, tuple[float, ...]] | None = None,
    named: dict[str, int] | None = None,
) -> Row:
    """One row of a catalog, without its id.

    Args:
        split: Of the catalog.
        family: Of the catalog.
        subject: Who is shown.
        prompt: The text.
        planted: Share of each class, by attribute; null where not given.
        named: Class index that the prompt asks for, by attribute.
    """
    row: Row = {
        "prompt": prompt,
        "split": split,
        "family": family,
        "subject": subject,
    }
    for attribute in ATTRIBUTES.attributes:
        index = (named or {}).get(attribute.name)
        row[f"named_{attribute.name}"] = None if index is None else attribute.classes[index]
        shares = (planted or {}).get(attribute.name, (float("nan"),) * attribute.size)
        for label, share in zip(attribute.classes, shares, strict=True):
            row[f"planted_{attribute.name}_{label}"] = share
    return row


# What a prompt asks for: one, two or three attributes.
NAMINGS: tuple[dict[str, int], ...] = (
    *({"gender": g} for g in (0, 1)),
    *({"race": r} for r in range(4)),
    *({"age": a} for a in (0, 1)),
    *({"gender": i % 2, "race": i} for i in range(4)),
    *({"gender": 1 - i % 2, "race": (i + 2) % 4, "age": i % 2} for i in range(4)),
)


def _named_rows(split: str, subjects: tuple[Occupation, ...], times: int) -> list[Row]:
    """Prompts that ask for classes, each combination of ``NAMINGS`` ``times`` times."""
    rows = []
    for i, named in enumerate(NAMINGS * times):
        subject = f"{named_words(named)} {subjects[(5 * i) % len(subjects)].name}"
        prompt = with_article(TEMPLATE.format(subject))
        rows.append(prompt_row(split, "named", subject, prompt, None, named))
    return rows


def catalog() -> pd.DataFrame:
    """Every prompt of the world, one row each, with planted and named classes.

    Columns: prompt_id, prompt, split, family, subject, named_<attribute>,
    planted_<attribute>_<class>. Deterministic.
    """
    rows = [
        prompt_row(o.split, "occupation", o.name, TEMPLATE.format(o.name), o.planted)
        for o in occupations()
    ]
    for sport in SPORTS:
        prompt = f"a portrait of a person playing {sport}"
        rows.append(prompt_row("sports", "sport", sport, prompt, subject_planted("sport", sport)))
    for word in DESCRIPTORS:
        prompt = TEMPLATE.format(f"{word} person").replace(", a person", "")
        planted = subject_planted("descriptor", word)
        rows.append(prompt_row("descriptors", "descriptor", word, prompt, planted))
    trained = [o for o in occupations() if o.split == "train"]
    for i, place in enumerate(PLACES):
        for o in trained[i * 7 : i * 7 + 2]:
            prompt = f"a portrait of a {o.name} {place}"
            rows.append(prompt_row("styles", "style", f"{o.name} {place}", prompt, o.planted))
    # Training ones keep what they ask for; the others test that a tuned model still does.
    rows += _named_rows("train", tuple(trained), TRAIN_NAMINGS)
    held_out = tuple(o for o in occupations() if o.split == "test")
    rows += _named_rows("named", held_out, 1)
    rows += [prompt_row("scenes", "scene", kind, f"a picture of a {kind}") for kind in SCENES]
    frame = pd.DataFrame(rows)
    number = frame.groupby("split").cumcount()
    frame.insert(
        0, "prompt_id", [f"{s}-{n:04d}" for s, n in zip(frame["split"], number, strict=True)]
    )
    return frame


def clothes_of(field: Field) -> Colour:
    """The field's usual garment colour."""
    return CLOTHES[field.clothes]
