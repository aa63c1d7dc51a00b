"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

__all__ = ["nearest", "pair_names"]

CUTOFF = 0.5


def nearest(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the closest known name, or the known names when none is."""
    known = list(known)
    close = get_close_matches(name, known, n=1, cutoff=CUTOFF)
    return f"; did you mean '{close[0]}'?" if close else f"; there are {', '.join(known)}"


def pair_names(unknown: Iterable[str], missing: Iterable[str]) -> dict[str, str]:
    """Each unknown name's missing one: the most similar pair first, each name used once.

    A missing name beats a similar one that is present: ``factor3`` beside ``factor1`` was meant to
    be ``factor2``.
    """
    missing = list(missing)
    ranked = sorted(
        (
            (-SequenceMatcher(None, wrong, right).ratio(), position, wrong, right)
            for position, wrong in enumerate(unknown)
            for right in missing
        ),
    )
    pairs: dict[str, str] = {}
    for score, _, wrong, right in ranked:
        if -score >= CUTOFF and wrong not in pairs and right not in pairs.values():
            pairs[wrong] = right
    return pairs
