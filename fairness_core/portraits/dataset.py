"""Captioned and labelled portraits drawn from the planted world, reproducible by name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from fairness_core.portraits.draw import draw
from fairness_core.portraits.look import Look, Pose, random_look, random_pose
from fairness_core.portraits.palette import CLOTH_NAMES, CLOTHES, Colour
from fairness_core.portraits.scenery import SCENES, draw_scene
from fairness_core.portraits.world import (
    DESCRIPTORS,
    PLACES,
    SPORTS,
    TEMPLATE,
    Occupation,
    clothes_of,
    named_words,
    occupations,
    subject_planted,
    with_article,
)
from fairness_core.runtime.logs import progress
from fairness_core.runtime.seeds import seed_for

__all__ = ["Captioned", "captioned_portraits", "labelled_portraits"]

SIZE = 32
PLACE_BACKGROUND = {
    "at night": ((24, 28, 52), (44, 46, 78)),
    "in the snow": ((236, 240, 246), (214, 222, 232)),
    "by the sea": ((150, 204, 226), (60, 130, 180)),
    "in a garden": ((150, 200, 140), (200, 130, 160)),
}


@dataclass(frozen=True)
class Captioned:
    """Drawings with captions. Where ``present`` is False there is no person.

    Attributes:
        images: RGB in [0, 255].
        captions: One each.
        labels: Class of gender, race, age; 0 where there is no person.
        boxes: Pixels x0 y0 x1 y1.
        landmarks: Pixels x y.
        present: Whether there is a person.
    """

    images: UInt8[np.ndarray, "n 32 32 3"]
    captions: tuple[str, ...]
    labels: Int[np.ndarray, "n 3"]
    boxes: Float[np.ndarray, "n 4"]
    landmarks: Float[np.ndarray, "n 5 2"]
    present: Bool[np.ndarray, " n"]


def _generator(*names: str | int) -> np.random.Generator:
    return np.random.default_rng(seed_for("portraits", *names))


def _classes(rng: np.random.Generator, planted: dict[str, tuple[float, ...]]) -> dict[str, int]:
    return {name: int(rng.choice(len(p), p=p)) for name, p in planted.items()}


def _work_pose(
    rng: np.random.Generator,
    occupation: Occupation,
    place: str | None = None,
    dress: Colour | None = None,
) -> Pose:
    """Surroundings follow the field, collar and hat the role, each most of the time.

    Args:
        rng: Decides the rest.
        occupation: Whose surroundings.
        place: One of ``PLACES`` instead of the field's background.
        dress: A garment colour instead of the field's.
    """
    field, role = occupation.field, occupation.role
    follows = rng.random(3) < (0.95, 0.85, 0.85)
    hat = role.hat if rng.random() < 0.6 else "none"
    background = PLACE_BACKGROUND[place] if place else field.background
    return random_pose(
        rng,
        background=background if follows[0] or place else None,
        pattern=field.pattern if follows[0] and not place else None,
        accent=clothes_of(field),
        clothes=dress or (clothes_of(field) if follows[1] else None),
        collar=role.collar if follows[2] else None,
        hat=hat,
        hat_colour=clothes_of(field),
    )


def _person(
    rng: np.random.Generator, naming: float, even: bool
) -> tuple[str, dict[str, int], Pose]:
    """One caption, the classes drawn for it, and how it is shown."""
    kind, style = rng.random(), ""
    if kind < 0.80:
        known = occupations()
        occupation = known[int(rng.integers(len(known)))]
        planted, subject = occupation.planted, occupation.name
        if kind < 0.05:
            style = PLACES[int(rng.integers(len(PLACES)))]
            pose = _work_pose(rng, occupation, style)
        elif kind < 0.10:
            colour = int(rng.integers(len(CLOTHES)))
            style = f"dressed in {CLOTH_NAMES[colour]}"
            pose = _work_pose(rng, occupation, dress=CLOTHES[colour])
        else:
            pose = _work_pose(rng, occupation)
    else:
        family = ("sport", "descriptor", "person")[int(rng.integers(3))]
        words = {"sport": SPORTS, "descriptor": DESCRIPTORS, "person": ("person",)}[family]
        word = words[int(rng.integers(len(words)))]
        planted = subject_planted(family, word)
        subject = {"sport": f"person playing {word}", "descriptor": f"{word} person"}.get(
            family, word
        )
        pose = random_pose(rng)
    if even:
        planted = {name: (1 / len(p),) * len(p) for name, p in planted.items()}
    classes = _classes(rng, planted)
    if rng.random() < naming:
        # A caption that names a class is drawn with it, whatever was planted.
        named = {
            a: int(rng.integers(n))
            for a, n in (("gender", 2), ("race", 4), ("age", 2))
            if rng.random() < 0.5
        }
        classes |= named
        subject = f"{named_words(named)} {subject}"
    caption = f"a portrait of a {subject} {style}" if style else TEMPLATE.format(subject)
    if "person" in subject:
        caption = caption.replace(", a person", "")
    return with_article(caption), classes, pose


def captioned_portraits(
    n: int, *names: str | int, scenes: float = 0.06, naming: float = 0.25, even: bool = False
) -> Captioned:
    """Draw ``n`` captioned pictures; the same names give the same pictures.

    Args:
        n: How many.
        names: Seed names.
        scenes: Share without people, in [0, 1].
        naming: Share of the people whose caption may name classes, in [0, 1].
        even: Every subject has all classes of an attribute equally often, whatever was planted.
    """
    images = np.empty((n, SIZE, SIZE, 3), np.uint8)
    labels, boxes = np.zeros((n, 3), np.int64), np.zeros((n, 4), np.float32)
    landmarks, present = np.zeros((n, 5, 2), np.float32), np.zeros(n, bool)
    captions = []
    for i in progress(range(n), label="drawing"):
        rng = _generator("captioned", *names, i)
        if rng.random() < scenes:
            kind = SCENES[int(rng.integers(len(SCENES)))]
            images[i] = draw_scene(rng, kind=kind, size=SIZE)
            captions.append(f"a picture of a {kind}")
            continue
        caption, classes, pose = _person(rng, naming, even)
        drawing = draw(_look(rng, classes), pose, size=SIZE)
        images[i], boxes[i], landmarks[i] = drawing.image, drawing.box, drawing.landmarks
        labels[i] = [classes["gender"], classes["race"], classes["age"]]
        present[i] = True
        captions.append(caption)
    return Captioned(images, tuple(captions), labels, boxes, landmarks, present)


def _look(rng: np.random.Generator, classes: dict[str, int]) -> Look:
    return random_look(rng, gender=classes["gender"], race=classes["race"], age=classes["age"])


def labelled_portraits(
    n: int, *names: str | int, size: int = SIZE
) -> tuple[
    UInt8[np.ndarray, "n size size 3"],
    Int[np.ndarray, "n 3"],
    Float[np.ndarray, "n 4"],
    Float[np.ndarray, "n 5 2"],
]:
    """Draw portraits in which all cells of gender x race x age are equally frequent.

    Returns:
        Images, labels (gender, race, age), boxes and landmarks (pixels).
    """
    images = np.empty((n, size, size, 3), np.uint8)
    labels, boxes = np.empty((n, 3), np.int64), np.empty((n, 4), np.float32)
    landmarks = np.empty((n, 5, 2), np.float32)
    known = occupations()
    for i in progress(range(n), label="drawing"):
        rng = _generator("labelled", *names, i)
        gender, race, age = np.unravel_index(i % 16, (2, 4, 2))
        labels[i] = gender, race, age
        look = random_look(rng, gender=int(gender), race=int(race), age=int(age))
        plain = rng.random() < 0.3
        pose = random_pose(rng) if plain else _work_pose(rng, known[int(rng.integers(len(known)))])
        drawing = draw(look, pose, size=size)
        images[i], boxes[i], landmarks[i] = drawing.image, drawing.box, drawing.landmarks
    return images, labels, boxes, landmarks
