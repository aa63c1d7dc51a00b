"""Drawn portraits: polygons on a supersampled canvas, with the face's box and five landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from fairness_core.portraits.canvas import SUPERSAMPLE, Canvas, arc, mix
from fairness_core.portraits.hair import hair_back, hair_front
from fairness_core.portraits.look import Look, Pose, random_look, random_pose

__all__ = ["Drawing", "Look", "Pose", "draw", "random_look", "random_pose"]


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


def _features(canvas: Canvas, look: Look, pose: Pose) -> np.ndarray:
    """Eyes, brows, nose, mouth; returns the five landmarks in the person's coordinates."""
    shade = mix(look.skin, (30, 12, 8), 0.30)
    eye_y, mouth_y = -0.035, 0.150
    brow_colour = mix(look.hair, (40, 30, 28), 0.45)
    for sign in (-1, 1):
        x = sign * look.eye_gap
        canvas.ellipse(x, eye_y, look.eye_size, look.eye_size * 0.66, (244, 242, 238))
        canvas.ellipse(x, eye_y, look.eye_size * 0.55, look.eye_size * 0.62, (34, 24, 22))
        lid = arc(x, eye_y + 0.004, look.eye_size * 1.1, look.eye_size * 0.85, 200, 340)
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
            under = arc(sign * look.eye_gap, eye_y + 0.018, 0.045, 0.030, 20, 160)
            canvas.line(under, 0.009, shade)
    bend = pose.smile * 0.022
    corners = np.array([[-look.mouth, mouth_y - bend], [look.mouth, mouth_y - bend]])
    middle = np.array([[0.0, mouth_y + bend]])
    lips = mix(look.skin, look.lips, 0.58) if look.gender == 0 else mix(shade, look.lips, 0.25)
    curve = np.concatenate([corners[:1], middle, corners[1:]])
    canvas.line(curve, 0.032 if look.gender == 0 else 0.020, lips)
    eyes = np.array([[-look.eye_gap, eye_y], [look.eye_gap, eye_y]])
    return np.concatenate([eyes, [[0.0, 0.068]], corners])


def _beard(canvas: Canvas, look: Look) -> None:
    if look.beard in ("full", "stubble"):
        colour = look.hair if look.beard == "full" else mix(look.skin, look.hair, 0.42)
        outline = _face_outline(look, 0.004)
        lower = outline[outline[:, 1] > 0.085]
        lower = lower[np.argsort(-lower[:, 0])]
        inner = arc(0, 0.095, look.head_width * 0.66, 0.05, 180, 360)
        canvas.polygon(np.concatenate([lower, inner]), colour)
    if look.beard in ("full", "moustache"):
        canvas.polygon(arc(0, 0.118, 0.092, 0.030, 150, 390), look.hair)


def _body(canvas: Canvas, look: Look, pose: Pose) -> None:
    broad = 0.41 if look.gender == 1 else 0.36
    canvas.ellipse(0, 0.60, broad, 0.27, pose.clothes)
    neck = 0.105 if look.gender == 1 else 0.082
    shade = mix(look.skin, (30, 12, 8), 0.16)
    canvas.polygon(np.array([[-neck, 0.1], [neck, 0.1], [neck, 0.38], [-neck, 0.38]]), shade)
    dark = mix(pose.clothes, (15, 15, 20), 0.35)
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


def _hat(canvas: Canvas, look: Look, pose: Pose) -> None:
    w, h = look.head_width, look.head_height
    dark = mix(pose.hat_colour, (15, 15, 20), 0.35)
    if pose.hat == "cap":
        canvas.polygon(arc(0, -h * 0.52, w + 0.035, h * 0.72, 180, 360), pose.hat_colour)
        canvas.ellipse(0, -h * 0.53, w + 0.02, 0.035, dark)
    elif pose.hat == "helmet":
        canvas.polygon(arc(0, -h * 0.50, w + 0.055, h * 0.78, 180, 360), pose.hat_colour)
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
    canvas = Canvas(size, pose)
    hair_back(canvas, look)
    _body(canvas, look, pose)
    for sign in (-1, 1):
        canvas.ellipse(sign * look.head_width, 0.0, 0.028, 0.05, mix(look.skin, (30, 12, 8), 0.2))
    canvas.polygon(_face_outline(look), mix(look.skin, (30, 12, 8), 0.10))
    inner = _face_outline(look) * np.array([0.93, 0.96])
    canvas.polygon(inner, look.skin)
    _beard(canvas, look)
    points = _features(canvas, look, pose)
    hair_front(canvas, look)
    if look.glasses:
        for sign in (-1, 1):
            rim = arc(sign * look.eye_gap, -0.033, 0.062, 0.052, 0, 360)
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
