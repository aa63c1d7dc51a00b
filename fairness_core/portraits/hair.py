"""Hair: what lies behind the head, and what falls over the forehead."""

from __future__ import annotations

import math

import numpy as np

from fairness_core.portraits.canvas import Canvas, arc
from fairness_core.portraits.look import Look

__all__ = ["hair_back", "hair_front"]


def _long_back(canvas: Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -0.02, w + 0.060, h + 0.030, look.hair)
    side = np.array([[-w - 0.058, 0.0], [w + 0.058, 0.0], [w + 0.07, 0.42], [-w - 0.07, 0.42]])
    canvas.polygon(side, look.hair)


def _wavy_back(canvas: Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -0.02, w + 0.062, h + 0.030, look.hair)
    for i in range(4):
        for sign in (-1, 1):
            canvas.ellipse(sign * (w + 0.015), 0.02 + 0.1 * i, 0.068, 0.075, look.hair)


def _bob_back(canvas: Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, 0.0, w + 0.062, h + 0.01, look.hair)
    side = np.array([[-w - 0.06, 0.0], [w + 0.06, 0.0], [w + 0.055, 0.25], [-w - 0.055, 0.25]])
    canvas.polygon(side, look.hair)


def _bun_back(canvas: Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    canvas.ellipse(0, -h - 0.045, 0.095, 0.075, look.hair)
    canvas.ellipse(0, -0.045, w + 0.028, h, look.hair)


def _curls_back(canvas: Canvas, look: Look) -> None:
    w, h = look.head_width, look.head_height
    for angle in range(150, 391, 20):
        a = math.radians(angle)
        x, y = (w + 0.03) * math.cos(a), -0.05 + h * math.sin(a)
        canvas.ellipse(x, y, 0.075, 0.075, look.hair)


def _short_back(canvas: Canvas, look: Look) -> None:
    canvas.ellipse(0, -0.05, look.head_width + 0.022, look.head_height - 0.005, look.hair)


def _crop_back(canvas: Canvas, look: Look) -> None:
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


def hair_back(canvas: Canvas, look: Look) -> None:
    """Draw what lies behind the head."""
    if look.hair_style in HAIR_BACK:
        HAIR_BACK[look.hair_style](canvas, look)


def hair_front(canvas: Canvas, look: Look) -> None:
    """Draw what falls over the forehead."""
    w, h = look.head_width, look.head_height
    style = look.hair_style
    if style == "bald":
        return
    depth = {"crop": 0.50, "short": 0.44, "side": 0.42, "curls": 0.46}.get(style, 0.46)
    top = arc(0, -0.01, w + 0.012, h + 0.012, 200, 340)
    if style == "side":
        fringe = np.array([[w * 0.9, -h * 0.42], [w * 0.2, -h * 0.50], [-w * 0.55, -h * 0.74]])
    elif style in ("long", "wavy"):
        fringe = np.array([[w * 0.95, -h * 0.20], [0.0, -h * 0.78], [-w * 0.95, -h * 0.20]])
    elif style == "bob":
        fringe = np.array([[w, -h * 0.30], [w * 0.8, -h * 0.46], [-w * 0.8, -h * 0.46]])
    else:
        fringe = np.array([[w * 0.85, -h * depth], [0.0, -h * 0.62], [-w * 0.85, -h * depth]])
    canvas.polygon(np.concatenate([top, fringe]), look.hair)
