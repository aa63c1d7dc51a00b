"""Backgrounds, and scenes without people."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from fairness_core.portraits.palette import Colour

__all__ = ["SCENES", "draw_scene", "paint_background"]

SCENES = ("tree", "house", "boat", "mountain", "lamp", "flower")


def paint_background(
    side: int, colours: tuple[Colour, Colour], pattern: str, accent: Colour
) -> Image.Image:
    """A vertical gradient of two colours with a faint pattern, ``side`` x ``side`` pixels."""
    ramp = np.linspace(0.0, 1.0, side)[:, None, None]
    top, bottom = (np.asarray(c, dtype=np.float64) for c in colours)
    rows = np.broadcast_to(top * (1 - ramp) + bottom * ramp, (side, side, 3))
    image = Image.fromarray(rows.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    red, green, blue = (
        int(0.45 * a + 0.55 * b) for a, b in zip(accent, (top + bottom) / 2, strict=True)
    )
    soft = (red, green, blue)
    if pattern == "hills":
        pen.ellipse([-side * 0.4, side * 0.55, side * 0.6, side * 1.4], fill=soft)
        pen.ellipse([side * 0.5, side * 0.48, side * 1.5, side * 1.5], fill=soft)
    elif pattern == "panels":
        for left in (0.04, 0.76):
            pen.rectangle([side * left, side * 0.08, side * (left + 0.2), side * 0.6], fill=soft)
    elif pattern == "dots":
        for i in range(5):
            for j in range(5):
                x, y = (i + 0.5) * side / 5, (j + 0.5) * side / 5
                pen.ellipse(
                    [x - side * 0.04, y - side * 0.04, x + side * 0.04, y + side * 0.04], soft
                )
    return image


def _colour(rng: np.random.Generator, base: Colour, spread: float = 14.0) -> Colour:
    red, green, blue = (
        int(v) for v in np.clip(np.asarray(base) + rng.normal(0, spread, 3), 0, 255)
    )
    return red, green, blue


def draw_scene(
    rng: np.random.Generator, *, kind: str | None = None, size: int = 32
) -> UInt8[np.ndarray, "size size 3"]:
    """A scene without people, RGB in [0, 255].

    Args:
        rng: Source of every choice.
        kind: One of ``SCENES``; any of them when None.
        size: Side in pixels.
    """
    kind = kind or SCENES[int(rng.integers(len(SCENES)))]
    side = size * 4
    sky, ground = _colour(rng, (150, 190, 225)), _colour(rng, (110, 140, 90))
    image = paint_background(side, (sky, _colour(rng, (205, 215, 225))), "plain", ground)
    pen = ImageDraw.Draw(image)
    x, s = float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.85, 1.15))

    def box(x0: float, y0: float, x1: float, y1: float) -> list[float]:
        return [(x + x0 * s) * side, y0 * side, (x + x1 * s) * side, y1 * side]

    pen.rectangle([0, 0.74 * side, side, side], fill=ground)
    if kind == "tree":
        pen.rectangle(box(-0.05, 0.5, 0.05, 0.84), fill=_colour(rng, (96, 66, 42)))
        for dx, y in ((-0.14, 0.36), (0.14, 0.36), (0.0, 0.24)):
            pen.ellipse(box(dx - 0.17, y - 0.14, dx + 0.17, y + 0.2), _colour(rng, (54, 118, 60)))
    elif kind == "house":
        pen.rectangle(box(-0.26, 0.46, 0.26, 0.84), fill=_colour(rng, (205, 180, 150)))
        roof = [
            ((x + dx * s) * side, y * side) for dx, y in ((-0.33, 0.47), (0.33, 0.47), (0, 0.2))
        ]
        pen.polygon(roof, fill=_colour(rng, (160, 64, 50)))
        pen.rectangle(box(-0.06, 0.62, 0.06, 0.84), fill=_colour(rng, (86, 60, 44)))
    elif kind == "boat":
        pen.rectangle([0, 0.62 * side, side, side], fill=_colour(rng, (60, 110, 160)))
        hull = [
            ((x + a * s) * side, b * side)
            for a, b in ((-0.3, 0.6), (0.3, 0.6), (0.2, 0.74), (-0.2, 0.74))
        ]
        pen.polygon(hull, fill=_colour(rng, (120, 60, 44)))
        sail = [((x + a * s) * side, b * side) for a, b in ((0, 0.14), (0, 0.56), (0.26, 0.56))]
        pen.polygon(sail, fill=_colour(rng, (240, 238, 230), 6))
    elif kind == "mountain":
        for dx, peak in ((-0.2, 0.3), (0.2, 0.2)):
            hill = [
                ((x + a * s) * side, b * side)
                for a, b in ((dx - 0.4, 0.76), (dx + 0.4, 0.76), (dx, peak))
            ]
            pen.polygon(hill, fill=_colour(rng, (110, 112, 126)))
    elif kind == "lamp":
        pen.rectangle(box(-0.025, 0.3, 0.025, 0.86), fill=_colour(rng, (50, 52, 58)))
        pen.ellipse(box(-0.12, 0.12, 0.12, 0.36), fill=_colour(rng, (250, 230, 140)))
    else:
        pen.rectangle(box(-0.02, 0.4, 0.02, 0.88), fill=_colour(rng, (60, 130, 60)))
        petal = _colour(rng, (210, 80, 130))
        for dx, dy in ((-0.13, 0), (0.13, 0), (0, -0.13), (0, 0.13)):
            pen.ellipse(box(dx - 0.1, 0.32 + dy - 0.1, dx + 0.1, 0.32 + dy + 0.1), fill=petal)
        pen.ellipse(box(-0.07, 0.25, 0.07, 0.39), fill=_colour(rng, (245, 210, 90)))
    return np.asarray(image.reduce(4))
