"""The planted truth of roles and fields, as log-odds, and the surroundings they are shown in."""

from __future__ import annotations

from dataclasses import dataclass

from fairness_core.portraits.palette import Colour

__all__ = ["BASE_OLD", "BASE_RACE", "FIELDS", "ROLES", "Field", "Role"]


@dataclass(frozen=True)
class Role:
    """What a role adds: log-odds of male and old, race logits, hat and collar."""

    name: str
    male: float
    race: tuple[float, float, float, float]
    old: float
    collar: str
    hat: str = "none"


@dataclass(frozen=True)
class Field:
    """What a field adds: log-odds of male, race logits, background, clothes."""

    name: str
    male: float
    race: tuple[float, float, float, float]
    background: tuple[Colour, Colour]
    pattern: str
    clothes: int


ROLES = (
    Role("engineer", 1.42, (0.5, 0.3, 0.0, -0.7), 0.1, "shirt", "helmet"),
    Role("assistant", -1.42, (0.1, 0.3, 0.1, 0.0), -1.2, "round"),
    Role("manager", 1.12, (1.2, -0.2, -0.3, -0.9), 0.6, "shirt"),
    Role("nurse", -1.65, (0.1, 0.5, 0.0, 0.0), -0.5, "vee"),
    Role("driver", 1.27, (-0.2, 0.0, 0.6, 0.6), 0.0, "round", "cap"),
    Role("cleaner", -1.05, (-0.9, 0.1, 0.7, 0.9), 0.2, "round"),
    Role("inspector", 0.9, (0.9, 0.0, -0.1, -0.5), 0.7, "scarf", "cap"),
    Role("teacher", -1.2, (0.7, 0.0, -0.2, -0.2), 0.2, "vee"),
    Role("guard", 1.5, (-0.4, -0.3, 0.3, 0.9), -0.1, "shirt", "beret"),
    Role("clerk", -0.9, (0.4, 0.5, 0.0, -0.4), 0.0, "shirt"),
    Role("technician", 1.05, (0.1, 0.8, 0.3, -0.6), -0.6, "round"),
    Role("designer", -0.68, (0.8, 0.3, -0.4, -0.6), -0.9, "scarf"),
)
FIELDS = (
    Field("hospital", -0.52, (0.1, 0.5, 0.0, 0.0), ((214, 232, 232), (190, 214, 218)), "plain", 3),
    Field("harbour", 0.68, (0.0, -0.2, 0.3, 0.4), ((126, 166, 198), (70, 110, 150)), "hills", 0),
    Field("school", -0.45, (0.4, 0.1, 0.0, 0.0), ((226, 206, 160), (196, 170, 120)), "panels", 5),
    Field("railway", 0.6, (0.2, -0.1, 0.2, 0.2), ((150, 150, 158), (104, 104, 112)), "panels", 7),
    Field("museum", -0.22, (0.9, 0.0, -0.3, -0.4), ((204, 186, 176), (166, 144, 134)), "panels", 6),
    Field("forest", 0.52, (0.6, -0.4, -0.1, 0.0), ((126, 164, 120), (70, 108, 72)), "hills", 2),
    Field("bank", 0.38, (0.9, 0.2, -0.3, -0.6), ((178, 182, 190), (134, 140, 152)), "plain", 4),
    Field("hotel", -0.3, (-0.3, 0.3, 0.4, 0.2), ((212, 170, 150), (170, 122, 104)), "dots", 1),
    Field("farm", 0.3, (0.0, -0.4, 0.7, 0.1), ((210, 216, 160), (150, 160, 92)), "hills", 5),
    Field("theatre", -0.38, (0.3, -0.2, -0.1, 0.4), ((120, 70, 86), (84, 44, 60)), "dots", 7),
    Field("laboratory", 0.15, (0.0, 0.9, 0.3, -0.7), ((200, 214, 232), (160, 178, 206)), "dots", 3),
)
BASE_RACE = (0.55, -0.1, -0.15, -0.2)
BASE_OLD = -0.9
