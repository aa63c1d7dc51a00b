"""Captions that say more of what is visible: what image-text encoders learn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from fairness_core.portraits.world import ATTRIBUTES, named_words, with_article

__all__ = ["describe"]

OPENING = "a portrait of a "
PLAIN_SHARE = 0.25


def describe(
    captions: Sequence[str],
    labels: Int[np.ndarray, "n 3"],
    present: Bool[np.ndarray, " n"],
    *,
    share: float,
    rng: np.random.Generator,
) -> list[str]:
    """Name visible classes in a share of the captions; a quarter of those drop the occupation.

    The world's own captions seldom name a class, as captions of photographs seldom do; an encoder
    trained on little needs to read them more often.

    Args:
        captions: Of the pictures.
        labels: Class of gender, race, age.
        present: Where there is a person; other captions stay.
        share: Of captions to enrich, in [0, 1].
        rng: Decides which captions and which classes.
    """
    known = [name for a in ATTRIBUTES.attributes for name in a.classes]
    told = []
    for caption, classes, person in zip(captions, labels, present, strict=True):
        words = caption.split()
        text = " ".join(words)
        named = any(word in known for word in words)
        chosen = rng.random(len(classes)) < 0.6
        enrich, plain = rng.random() < share, rng.random() < PLAIN_SHARE
        if person and not named and enrich and chosen.any() and text.startswith(OPENING):
            asked = {
                a: int(c)
                for a, c, use in zip(ATTRIBUTES.names, classes, chosen, strict=True)
                if use
            }
            subject = "person" if plain else text.removeprefix(OPENING)
            text = with_article(f"{OPENING}{named_words(asked)} {subject}")
        told.append(text)
    return told
