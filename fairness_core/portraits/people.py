"""The same drawn people in several pictures each, for learning and measuring identity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from fairness_core.portraits.draw import draw
from fairness_core.portraits.look import random_look, random_pose
from fairness_core.runtime.seeds import seed_for

__all__ = ["CELLS", "People", "drawn_people"]

CELLS = (2, 4, 2)


@dataclass(frozen=True)
class People:
    """Several pictures of each person, who stays the same while all else changes.

    Attributes:
        images: RGB in [0, 255].
        landmarks: Pixels x y.
        groups: Each person's cell of gender x race x age, 0 to 15.
    """

    images: UInt8[np.ndarray, "people views size size 3"]
    landmarks: Float[np.ndarray, "people views 5 2"]
    groups: Int[np.ndarray, " people"]


def drawn_people(n: int, views: int, *names: str | int, size: int = 32) -> People:
    """Draw ``n`` people, ``views`` pictures of each; every cell equally often.

    Args:
        n: How many people.
        views: Pictures of each: other pose, expression, clothes, hat, light and background.
        names: Seed names; the same names give the same people and pictures.
        size: Side of the pictures, pixels.
    """
    images = np.empty((n, views, size, size, 3), np.uint8)
    landmarks = np.empty((n, views, 5, 2), np.float32)
    groups = np.arange(n) % int(np.prod(CELLS))
    for i in range(n):
        rng = np.random.default_rng(seed_for("portraits", "people", *names, i))
        gender, race, age = (int(c) for c in np.unravel_index(int(groups[i]), CELLS))
        look = random_look(rng, gender=gender, race=race, age=age)
        for j in range(views):
            drawing = draw(look, random_pose(rng), size=size)
            images[i, j], landmarks[i, j] = drawing.image, drawing.landmarks
    return People(images, landmarks, groups)
