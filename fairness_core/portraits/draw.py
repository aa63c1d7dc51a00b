"""Drawn portraits: polygons on a supersampled canvas, with the face's box and five landmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8
from PIL import ImageDraw

from fairness_core.portraits.look import Look, Pose, random_look, random_pose
from fairness_core.portraits.palette import Colour
from fairness_core.portraits.scenery import paint_background

__all__ = ["Drawing", "Look", "Pose", "draw", "random_look", "random_pose"]

SUPERSAMPLE = 4
HEAD_CENTRE = (0.5, 0.47)


@dataclass(frozen=True)
class Drawing:
    """A picture and what is known of its face.

    Attributes:
        image: RGB in [0, 255].
        box: Face, pixels x0 y0 x1 y1: forehead to chin, cheek to cheek.
        landmarks: Pixels x y of both eyes (left of the picture first), nose tip, mouth corners.
    """

    image: UInt8[np.ndarray, "size size 3"]
    box: Float[np.ndarray, " 4"]
    landmarks: Float[np.ndarray, "5 2"]


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


class _Canvas:
    """Draws shapes given in the person's own coordinates (fractions of the picture's side)."""

    def __init__(self, size: int, pose: Pose) -> None:
        self.side = size * SUPERSAMPLE
        self.image = paint_background(self.side, pose.background, pose.pattern, pose.accent)
        self.pen = ImageDraw.Draw(self.image)
        angle = math.radians(pose.tilt)
        self.cos, self.sin = math.cos(angle) * pose.scale, math.sin(angle) * pose.scale
        self.centre = (HEAD_CENTRE[0] + pose.shift[0], HEAD_CENTRE[1] + pose.shift[1])

    def place(self, points: np.ndarray) -> np.ndarray:
        """Person coordinates (relative to the head's centre) to fractions of the side."""
        x = points[:, 0] * self.cos - points[:, 1] * self.sin + self.centre[0]
        y = points[:, 0] * self.sin + points[:, 1] * self.cos + self.centre[1]
        return np.stack([x, y], axis=1)

    def polygon(self, points: np.ndarray, colour: Colour) -> None:
        self.pen.polygon([tuple(p) for p in self.place(points) * self.side], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.polygon(_arc(x, y, rx, ry, 0, 360), colour)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        pixels = max(1, round(width * self.side))
        placed = [tuple(p) for p in self.place(points) * self.side]
        self.pen.line(placed, fill=colour, width=pixels, joint="curve")


def _arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> np.ndarray:
    t = np.radians(np.linspace(start, end, 40))
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)


def _face_outline(look: Look, grow: float = 0.0) -> np.ndarray:
    """Round on top, narrowing to the jaw below; ``jaw`` 1 is square, 0 pointed."""
    t = np.radians(np.linspace(0, 360, 60))
    x, y = np.cos(t), np.sin(t)
    below = np.clip(y, 0, 1)
    width = 1 - (1 - look.jaw) * 0.45 * below**1.5
    square = np.sign(x) * np.abs(x) ** np.where(y > 0, 1 - 0.35 * look.jaw, 1.0)
    return np.stack(
        [square * width * (look.head_width + grow), y * (look.head_height + grow)], axis=1
    )


def _long_back(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -0.02, w + 0.060, h + 0.030, look.hair)
    side = np.array([[-w - 0.058, 0.0], [w + 0.058, 0.0], [w + 0.07, 0.42], [-w - 0.07, 0.42]])
    canvas.polygon(side, look.hair)


def _wavy_back(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -0.02, w + 0.062, h + 0.030, look.hair)
    for i in range(4):
        for sign in (-1, 1):
            canvas.ellipse(sign * (w + 0.015), 0.02 + 0.1 * i, 0.068, 0.075, look.hair)


def _bob_back(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, 0.0, w + 0.062, h + 0.01, look.hair)
    side = np.array([[-w - 0.06, 0.0], [w + 0.06, 0.0], [w + 0.055, 0.25], [-w - 0.055, 0.25]])
    canvas.polygon(side, look.hair)


def _bun_back(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -h - 0.045, 0.095, 0.075, look.hair)
    canvas.ellipse(0, -0.045, w + 0.028, h, look.hair)


def _curls_back(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    for angle in range(150, 391, 20):
        a = math.radians(angle)
        x, y = (w + 0.03) * math.cos(a), -0.05 + h * math.sin(a)
        canvas.ellipse(x, y, 0.075, 0.075, look.hair)


def _short_back(canvas: _Canvas, look: Look) -> None:
    canvas.ellipse(0, -0.05, look.head_width + 0.022, look.head_height - 0.005, look.hair)


def _crop_back(canvas: _Canvas, look: Look) -> None:
    canvas.ellipse(0, -0.045, look.head_width + 0.010, look.head_height - 0.018, look.hair)


HAIR_BACK = {
    "long": _long_back,
    "wavy": _wavy_back,
    "bob": _bob_back,
    "bun": _bun_back,
    "curls": _curls_back,
    "short": _short_back,
    "side": _short_back,
    "crop": _crop_back,
}


def _hair_back(canvas: _Canvas, look: Look) -> None:
    if look.hair_style in HAIR_BACK:
        HAIR_BACK[look.hair_style](canvas, look)


def _hair_front(canvas: _Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    style = look.hair_style
    if style == "bald":
        return
    depth = {"crop": 0.50, "short": 0.44, "side": 0.42, "curls": 0.46}.get(style, 0.46)
    top = _arc(0, -0.01, w + 0.012, h + 0.012, 200, 340)
    if style == "side":
        fringe = np.array([[w * 0.9, -h * 0.42], [w * 0.2, -h * 0.50], [-w * 0.55, -h * 0.74]])
    elif style in ("long", "wavy"):
        fringe = np.array([[w * 0.95, -h * 0.20], [0.0, -h * 0.78], [-w * 0.95, -h * 0.20]])
    elif style == "bob":
        fringe = np.array([[w, -h * 0.30], [w * 0.8, -h * 0.46], [-w * 0.8, -h * 0.46]])
    else:
        fringe = np.array([[w * 0.85, -h * depth], [0.0, -h * 0.62], [-w * 0.85, -h * depth]])
    canvas.polygon(np.concatenate([top, fringe]), look.hair)


def _features(canvas: _Canvas, look: Look, pose: Pose) -> np.ndarray:
    """Eyes, brows, nose, mouth; returns the five landmarks in the person's coordinates."""
    shade = _mix(look.skin, (30, 12, 8), 0.30)
    eye_y, mouth_y = -0.035, 0.150
    brow_colour = _mix(look.hair, (40, 30, 28), 0.45)
    for sign in (-1, 1):
        x = sign * look.eye_gap
        canvas.ellipse(x, eye_y, look.eye_size, look.eye_size * 0.66, (244, 242, 238))
        canvas.ellipse(x, eye_y, look.eye_size * 0.55, look.eye_size * 0.62, (34, 24, 22))
        lid = _arc(x, eye_y + 0.004, look.eye_size * 1.1, look.eye_size * 0.85, 200, 340)
        canvas.line(lid, 0.014 if look.gender == 0 else 0.008, (28, 20, 20))
        brow = np.array([[x - 0.048, -0.098], [x, -0.110], [x + 0.048, -0.098]])
        canvas.line(brow, look.brow, brow_colour)
    canvas.line(np.array([[0.0, 0.0], [-look.nose * 0.5, 0.065], [0.008, 0.072]]), 0.012, shade)
    if look.age == 1:
        for y in (-0.175, -0.148):
            canvas.line(np.array([[-0.085, y], [0.0, y - 0.010], [0.085, y]]), 0.010, shade)
        for sign in (-1, 1):
            fold = np.array([[sign * 0.062, 0.080], [sign * 0.098, 0.155]])
            canvas.line(fold, 0.012, shade)
            under = _arc(sign * look.eye_gap, eye_y + 0.018, 0.045, 0.030, 20, 160)
            canvas.line(under, 0.009, shade)
    bend = pose.smile * 0.022
    corners = np.array([[-look.mouth, mouth_y - bend], [look.mouth, mouth_y - bend]])
    middle = np.array([[0.0, mouth_y + bend]])
    lips = _mix(look.skin, look.lips, 0.58) if look.gender == 0 else _mix(shade, look.lips, 0.25)
    curve = np.concatenate([corners[:1], middle, corners[1:]])
    canvas.line(curve, 0.032 if look.gender == 0 else 0.020, lips)
    eyes = np.array([[-look.eye_gap, eye_y], [look.eye_gap, eye_y]])
    return np.concatenate([eyes, [[0.0, 0.068]], corners])


def _beard(canvas: _Canvas, look: Look) -> None:
    if look.beard in ("full", "stubble"):
        colour = look.hair if look.beard == "full" else _mix(look.skin, look.hair, 0.42)
        outline = _face_outline(look, 0.004)
        lower = outline[outline[:, 1] > 0.085]
        lower = lower[np.argsort(-lower[:, 0])]
        inner = _arc(0, 0.095, look.head_width * 0.66, 0.05, 180, 360)
        canvas.polygon(np.concatenate([lower, inner]), colour)
    if look.beard in ("full", "moustache"):
        canvas.polygon(_arc(0, 0.118, 0.092, 0.030, 150, 390), look.hair)


def _body(canvas: _Canvas, look: Look, pose: Pose) -> None:
    broad = 0.41 if look.gender == 1 else 0.36
    canvas.ellipse(0, 0.60, broad, 0.27, pose.clothes)
    neck = 0.105 if look.gender == 1 else 0.082
    shade = _mix(look.skin, (30, 12, 8), 0.16)
    canvas.polygon(np.array([[-neck, 0.1], [neck, 0.1], [neck, 0.38], [-neck, 0.38]]), shade)
    dark = _mix(pose.clothes, (15, 15, 20), 0.35)
    if pose.collar == "round":
        canvas.ellipse(0, 0.37, neck + 0.02, 0.045, shade)
    elif pose.collar == "vee":
        canvas.polygon(np.array([[-neck - 0.03, 0.35], [neck + 0.03, 0.35], [0, 0.50]]), shade)
    elif pose.collar == "shirt":
        for sign in (-1, 1):
            flap = np.array([[0.0, 0.40], [sign * (neck + 0.05), 0.33], [sign * 0.13, 0.47]])
            canvas.polygon(flap, (240, 240, 238))
        canvas.polygon(np.array([[-0.025, 0.40], [0.025, 0.40], [0.035, 0.6], [-0.035, 0.6]]), dark)
    else:
        canvas.ellipse(0, 0.375, neck + 0.07, 0.065, dark)


def _hat(canvas: _Canvas, look: Look, pose: Pose) -> None:
    w, h = look.head_width, look.head_height
    dark = _mix(pose.hat_colour, (15, 15, 20), 0.35)
    if pose.hat == "cap":
        canvas.polygon(_arc(0, -h * 0.52, w + 0.035, h * 0.72, 180, 360), pose.hat_colour)
        canvas.ellipse(0, -h * 0.53, w + 0.02, 0.035, dark)
    elif pose.hat == "helmet":
        canvas.polygon(_arc(0, -h * 0.50, w + 0.055, h * 0.78, 180, 360), pose.hat_colour)
        rim = np.array([[-w - 0.08, -h * 0.52], [w + 0.08, -h * 0.52]])
        canvas.line(rim, 0.035, dark)
    elif pose.hat == "beret":
        canvas.ellipse(0.04, -h * 0.86, w + 0.045, h * 0.33, pose.hat_colour)
        canvas.ellipse(0.0, -h * 0.62, w * 0.95, 0.03, dark)


def draw(look: Look, pose: Pose, *, size: int = 32) -> Drawing:
    """Draw a person.

    Args:
        look: Who.
        pose: How.
        size: Side of the square picture, pixels.
    """
    canvas = _Canvas(size, pose)
    _hair_back(canvas, look)
    _body(canvas, look, pose)
    for sign in (-1, 1):
        canvas.ellipse(sign * look.head_width, 0.0, 0.028, 0.05, _mix(look.skin, (30, 12, 8), 0.2))
    canvas.polygon(_face_outline(look), _mix(look.skin, (30, 12, 8), 0.10))
    inner = _face_outline(look) * np.array([0.93, 0.96])
    canvas.polygon(inner, look.skin)
    _beard(canvas, look)
    points = _features(canvas, look, pose)
    _hair_front(canvas, look)
    if look.glasses:
        for sign in (-1, 1):
            rim = _arc(sign * look.eye_gap, -0.033, 0.062, 0.052, 0, 360)
            canvas.line(rim, 0.012, (40, 40, 46))
        canvas.line(np.array([[-0.035, -0.035], [0.035, -0.035]]), 0.012, (40, 40, 46))
    _hat(canvas, look, pose)
    small = np.asarray(canvas.image.reduce(SUPERSAMPLE), dtype=np.float32)
    lit = small * pose.light + np.array([pose.warmth, 0.0, -pose.warmth], dtype=np.float32)
    outline = canvas.place(_face_outline(look)) * size
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return Drawing(
        image=np.clip(np.rint(lit), 0, 255).astype(np.uint8),
        box=box.astype(np.float32),
        landmarks=(canvas.place(points) * size).astype(np.float32),
    )
