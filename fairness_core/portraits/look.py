"""Who is drawn (a look) and how (a pose), both sampled from a numpy generator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairness_core.portraits.palette import CLOTHES, GREY_HAIR, HAIR, LIPS, SKIN, Colour

__all__ = ["HAIR_STYLES", "HATS", "Look", "Pose", "random_look", "random_pose"]

HAIR_STYLES = ("long", "wavy", "bob", "bun", "curls", "short", "crop", "side", "bald")
HATS = ("none", "cap", "helmet", "beret")
# Overlapping on purpose: no style belongs to one class alone.
STYLE_SHARES = (
    (0.30, 0.22, 0.22, 0.12, 0.10, 0.04, 0.00, 0.00, 0.00),
    (0.04, 0.02, 0.02, 0.00, 0.10, 0.28, 0.22, 0.22, 0.10),
)
BEARDS = ("none", "stubble", "moustache", "full")
BEARD_SHARES = (0.34, 0.22, 0.14, 0.30)


@dataclass(frozen=True)
class Look:
    """What makes a drawn person the same person in every picture.

    Lengths are fractions of the picture's side. Colours are RGB in [0, 255].
    """

    gender: int
    race: int
    age: int
    skin: Colour
    hair: Colour
    hair_style: str
    beard: str
    lips: Colour
    head_width: float
    head_height: float
    jaw: float
    brow: float
    eye_gap: float
    eye_size: float
    nose: float
    mouth: float
    glasses: bool


@dataclass(frozen=True)
class Pose:
    """One picture of a look: placement, expression, clothes, light and background.

    Attributes:
        shift: Offset of the head's centre, fractions of the side.
        scale: Size of the person, 1 being usual.
        tilt: Rotation in degrees.
        smile: -1 (mouth down) to 1 (smile).
        light: Brightness factor.
        warmth: Added to red and taken from blue, in [0, 255] units.
        background: Two RGB colours, top and bottom.
        pattern: Background pattern: plain, hills, panels or dots.
        accent: Colour of the pattern.
        clothes: RGB of the garment.
        collar: round, vee, shirt or scarf.
        hat: One of ``HATS``; ``hat_colour`` its RGB.
    """

    shift: tuple[float, float]
    scale: float
    tilt: float
    smile: float
    light: float
    warmth: float
    background: tuple[Colour, Colour]
    pattern: str
    accent: Colour
    clothes: Colour
    collar: str
    hat: str
    hat_colour: Colour


def _pick(rng: np.random.Generator, options: tuple[Colour, ...]) -> Colour:
    return options[int(rng.integers(len(options)))]


def _jitter(rng: np.random.Generator, colour: tuple[float, float, float], amount: float) -> Colour:
    moved = np.asarray(colour) + rng.normal(0.0, amount) + rng.normal(0.0, amount / 3, 3)
    red, green, blue = (int(v) for v in np.clip(np.rint(moved), 0, 255))
    return red, green, blue


def random_look(rng: np.random.Generator, *, gender: int, race: int, age: int) -> Look:
    """Sample a person with the given perceived classes.

    Args:
        rng: Source of every choice.
        gender: 0 female, 1 male presentation.
        race: 0 light, 1 golden, 2 brown, 3 dark skin tones.
        age: 0 young, 1 old.
    """
    male = gender == 1
    style = HAIR_STYLES[int(rng.choice(len(HAIR_STYLES), p=STYLE_SHARES[gender]))]
    hair = _pick(rng, GREY_HAIR if age == 1 else HAIR[race])
    beard = BEARDS[int(rng.choice(len(BEARDS), p=BEARD_SHARES))] if male else "none"
    if male and style in ("long", "wavy", "bob", "curls") and beard == "none":
        beard = "stubble"
    if not male and style in ("short", "crop"):
        style = "bob" if rng.random() < 0.5 else style
    return Look(
        gender=gender,
        race=race,
        age=age,
        skin=_jitter(rng, _pick(rng, SKIN[race]), 2.5),
        hair=_jitter(rng, hair, 5.0),
        hair_style=style,
        beard=beard,
        lips=_pick(rng, LIPS),
        head_width=float(rng.normal(0.218 if male else 0.205, 0.008)),
        head_height=float(rng.normal(0.285 if male else 0.275, 0.008)),
        jaw=float(np.clip(rng.normal(0.80 if male else 0.56, 0.06), 0.4, 0.95)),
        brow=float(np.clip(rng.normal(0.026 if male else 0.014, 0.003), 0.008, 0.035)),
        eye_gap=float(rng.normal(0.095, 0.005)),
        eye_size=float(rng.normal(0.036 if male else 0.043, 0.003)),
        nose=float(rng.normal(0.040, 0.005)),
        mouth=float(rng.normal(0.080, 0.008)),
        glasses=bool(rng.random() < (0.30 if age == 1 else 0.10)),
    )


def random_pose(
    rng: np.random.Generator,
    *,
    background: tuple[Colour, Colour] | None = None,
    pattern: str | None = None,
    accent: Colour | None = None,
    clothes: Colour | None = None,
    collar: str | None = None,
    hat: str | None = None,
    hat_colour: Colour | None = None,
) -> Pose:
    """Sample how a person is shown; what is given is kept up to a small colour change."""
    if background is None:
        grey = rng.normal(150, 38)
        top = np.clip(grey + rng.normal(0, 24, 3), 20, 240)
        shade = np.clip(top + rng.normal(0, 16, 3), 15, 245)
        background = (_jitter(rng, tuple(top), 0.0), _jitter(rng, tuple(shade), 0.0))
    patterns = ("plain", "hills", "panels", "dots")
    collars = ("round", "vee", "shirt", "scarf")
    return Pose(
        shift=(float(rng.normal(0.0, 0.018)), float(rng.normal(0.0, 0.016))),
        scale=float(np.clip(rng.normal(1.0, 0.05), 0.86, 1.14)),
        tilt=float(np.clip(rng.normal(0.0, 4.0), -10, 10)),
        smile=float(np.clip(rng.normal(0.25, 0.45), -1, 1)),
        light=float(np.clip(rng.normal(1.0, 0.025), 0.93, 1.07)),
        warmth=float(np.clip(rng.normal(0.0, 2.5), -6, 6)),
        background=(_jitter(rng, background[0], 7.0), _jitter(rng, background[1], 7.0)),
        pattern=pattern or patterns[int(rng.integers(len(patterns)))],
        accent=_jitter(rng, accent or _pick(rng, CLOTHES), 8.0),
        clothes=_jitter(rng, clothes or _pick(rng, CLOTHES), 8.0),
        collar=collar or collars[int(rng.integers(len(collars)))],
        hat=hat or ("none" if rng.random() < 0.9 else HATS[int(rng.integers(1, len(HATS)))]),
        hat_colour=_jitter(rng, hat_colour or _pick(rng, CLOTHES), 8.0),
    )
