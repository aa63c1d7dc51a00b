"""A supersampled canvas that takes shapes in the drawn person's own coordinates."""

from __future__ import annotations

import math

import numpy as np
from PIL import ImageDraw

from fairness_core.portraits.look import Pose
from fairness_core.portraits.palette import Colour
from fairness_core.portraits.scenery import paint_background

__all__ = ["SUPERSAMPLE", "Canvas", "arc", "mix"]

SUPERSAMPLE = 4
HEAD_CENTRE = (0.5, 0.47)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Move ``share`` of the way from a to b."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


class Canvas:
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
        """Fill a polygon."""
        self.pen.polygon([tuple(p) for p in self.place(points) * self.side], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse with that centre and those radii."""
        self.polygon(arc(x, y, rx, ry, 0, 360), colour)

    def line(self, points: np.ndarray, width: float, colour: Colour) -> None:
        """Draw a line through the points, at least one fine pixel wide."""
        pixels = max(1, round(width * self.side))
        placed = [tuple(p) for p in self.place(points) * self.side]
        self.pen.line(placed, fill=colour, width=pixels, joint="curve")


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> np.ndarray:
    """Forty points of an ellipse between two angles in degrees, clockwise from the right."""
    t = np.radians(np.linspace(start, end, 40))
    return np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], axis=1)
