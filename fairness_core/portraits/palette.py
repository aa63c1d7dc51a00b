"""Colours of the drawn world: four groups of skin tone, hair, cloth and backgrounds."""

from __future__ import annotations

__all__ = ["CLOTHES", "CLOTH_NAMES", "GREY_HAIR", "HAIR", "LIPS", "SKIN", "Colour"]

Colour = tuple[int, int, int]

# Four groups, each with several tones; they stand in for FairFace's merged race classes.
SKIN: tuple[tuple[Colour, ...], ...] = (
    ((250, 226, 212), (245, 216, 200), (240, 207, 188), (247, 220, 200), (238, 204, 192)),
    ((228, 188, 128), (219, 177, 116), (210, 168, 108), (223, 183, 134), (205, 162, 98)),
    ((176, 120, 84), (166, 111, 76), (156, 102, 68), (182, 128, 92), (150, 98, 70)),
    ((104, 69, 52), (96, 63, 47), (88, 57, 44), (114, 77, 58), (80, 53, 42)),
)

HAIR: tuple[tuple[Colour, ...], ...] = (
    ((58, 38, 26), (96, 64, 38), (150, 106, 58), (206, 170, 104), (140, 66, 34), (36, 28, 24)),
    ((28, 22, 22), (44, 32, 28), (64, 44, 32)),
    ((26, 20, 18), (40, 28, 22), (58, 36, 26)),
    ((18, 14, 14), (32, 24, 22), (52, 34, 26)),
)

GREY_HAIR: tuple[Colour, ...] = ((226, 226, 228), (204, 206, 210), (184, 186, 192), (238, 236, 230))

# Blended with the skin so that the mouth is seen on every tone.
LIPS: tuple[Colour, ...] = ((196, 60, 76), (176, 48, 72), (208, 80, 92))

CLOTHES: tuple[Colour, ...] = (
    (52, 78, 122),
    (150, 48, 52),
    (48, 108, 84),
    (236, 236, 232),
    (92, 92, 100),
    (202, 150, 54),
    (106, 72, 128),
    (44, 44, 52),
)

# Words of CLOTHES, in its order.
CLOTH_NAMES = ("blue", "red", "green", "white", "grey", "yellow", "purple", "black")
