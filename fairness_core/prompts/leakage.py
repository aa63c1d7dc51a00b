"""Leakage: no subject of one split in another, however it is written."""

from __future__ import annotations

import itertools
import re

import pandas as pd

from fairness_core.errors import PromptError

__all__ = ["check_leakage", "shared_words", "subject_key", "subject_words"]

HELD_OUT = ("validation", "test", "sports", "descriptors", "styles")
TRAINING = ("train",)
FILLERS = frozenset({"a", "an", "the", "and", "or", "of"})
IRREGULAR = {
    "children": "child",
    "men": "man",
    "people": "person",
    "persons": "person",
    "women": "woman",
}
# Below this many letters two different words are often one letter apart: sailor and tailor.
NEAR_LETTERS = 8
SHOWN = 20


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^\W_]+", text.casefold()))


def _singular(word: str) -> str:
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if re.search(r"(ss|x|z|ch|sh)es$", word):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def subject_words(text: str) -> tuple[str, ...]:
    """Words in order: lower case, singular, without a, an, the, and, or, of and punctuation."""
    return tuple(_singular(word) for word in _words(text) if word not in FILLERS)


def subject_key(text: str) -> tuple[str, ...]:
    """What makes a subject: `subject_words` in alphabetical order; other order, same subject."""
    return tuple(sorted(subject_words(text)))


def check_leakage(catalog: pd.DataFrame) -> None:
    """Refuse a catalog in which a subject of one split can be learned from another.

    Three rules, each on `subject_words` (case, punctuation, plural and fillers do not count):

    * same: subjects of two splits have the same words, in any order ("Nurses, school" and "school
      nurse");
    * contained: the words of a held-out subject stand, in order and together, in the text of a
      prompt of split ``train`` ("nurse" leaks through "a nurse at night", not through "nursery
      worker"). Held-out splits are validation, test, sports, descriptors and styles. That a
      training subject stands inside a longer held-out one ("engineer", "harbour engineer") is
      allowed, and so are single words that recur, which `shared_words` counts: a held-out subject
      may be new without being meaningless;
    * near: subjects of two splits, at least eight letters long and written without blanks, are
      the same or one letter apart ("house keeper" and "housekeeper").

    Splits that are only looked at (named, the stress packs) may repeat a held-out subject, never a
    training one.

    Args:
        catalog: Checked catalog.

    Raises:
        PromptError: Names the pairs, the split of each and the rule, and counts them all.
    """
    pairs = [*_contained(catalog), *_alike(catalog)]
    if pairs:
        more = f"; {len(pairs) - SHOWN} more" if len(pairs) > SHOWN else ""
        raise PromptError(
            f"{len(pairs)} subjects of one split can be learned from another",
            given="; ".join(pairs[:SHOWN]) + more,
            do="keep each subject in one split, or remove the training prompts that show it",
        )


def _contained(catalog: pd.DataFrame) -> list[str]:
    prompts = catalog.loc[catalog["split"].isin(TRAINING), "prompt"].drop_duplicates()
    training = [(prompt, f" {' '.join(subject_words(prompt))} ") for prompt in prompts]
    held = catalog.loc[catalog["split"].isin(HELD_OUT), ["split", "subject"]].drop_duplicates()
    found = []
    for split, subject in held.itertuples(index=False):
        key = " ".join(subject_words(subject))
        hit = next((prompt for prompt, words in training if key and f" {key} " in words), None)
        if hit is not None:
            found.append(f"'{subject}' ({split}) in '{hit}' (train): contained")
    return found


def _alike(catalog: pd.DataFrame) -> list[str]:
    """Pairs of subjects of two splits that are the same or near."""
    rows = catalog.loc[catalog["subject"] != "", ["split", "subject"]].drop_duplicates()
    by_length: dict[int, list[tuple[str, tuple[str, ...], str, str]]] = {}
    for split, subject in rows.itertuples(index=False):
        if letters := "".join(subject_words(subject)):
            entry = (letters, subject_key(subject), split, subject)
            by_length.setdefault(len(letters), []).append(entry)
    splits = rows["split"].unique()
    apart = {(a, b): _apart(a, b) for a, b in itertools.product(splits, repeat=2)}
    found = []
    for length, here in sorted(by_length.items()):
        pairs = itertools.chain(
            itertools.combinations(here, 2), itertools.product(here, by_length.get(length + 1, ()))
        )
        for (one, key, split, subject), (other, its_key, its_split, its_subject) in pairs:
            if not apart[split, its_split]:
                continue
            near = length >= NEAR_LETTERS and _one_letter_apart(one, other)
            rule = "same" if key == its_key else "near" if near else ""
            if rule:
                found.append(f"'{subject}' ({split}) and '{its_subject}' ({its_split}): {rule}")
    return found


def _apart(split: str, other: str) -> bool:
    """Whether two splits may share no subject: training and any, or two that are held out."""
    either = {split, other}
    return len(either) == 2 and bool(either & set(TRAINING) or either <= set(HELD_OUT))


def _one_letter_apart(one: str, other: str) -> bool:
    """Whether one letter changed, or one added to the shorter ``one``, makes them equal."""
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[start:] == other[start + 1 :] or one[start + 1 :] == other[start + 1 :]


def shared_words(catalog: pd.DataFrame, split: str = "test") -> float:
    """Share of the words of a split's subjects that also occur in a training subject, in [0, 1].

    1.0: every held-out subject is a new combination of known words; 0.0: all words are new.
    NaN when the split has no subject.
    """
    known = {
        word
        for subject in catalog.loc[catalog["split"].isin(TRAINING), "subject"]
        for word in _words(subject)
    }
    words = [
        word
        for subject in catalog.loc[catalog["split"] == split, "subject"]
        for word in _words(subject)
    ]
    return sum(word in known for word in words) / len(words) if words else float("nan")
