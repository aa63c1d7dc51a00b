"""How many images an audit needs for the precision wanted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from fairness_core.errors import ConfigError

__all__ = ["AuditPlan", "half_width", "plan_images_per_prompt"]

# No audit has as many images of a prompt, and what is said of more would not fit into memory.
MOST = 100_000


@dataclass(frozen=True)
class AuditPlan:
    """What an audit needs.

    Attributes:
        images: Images per prompt.
        half_width: Half the width of the interval that they give at most.
        total: Images in all.
    """

    images: int
    half_width: float
    total: int


def half_width(
    *, classes: int, prompts: int, faces: float, spread: float = 0.0, level: float = 0.95
) -> float:
    """Bound z sqrt((spread^2 + (2/k)^2 / n) / p): half the interval of a mean bias over p prompts.

    A prompt's bias is a mean over its n faces of a weight in [-2/k, 2/k] (``parity_gaps``), so its
    variance is at most (2/k)^2 / n, whatever the shares are.

    Args:
        classes: Classes or cells, k >= 2.
        prompts: p >= 1.
        faces: n, faces per prompt, above 0.
        spread: Standard deviation over prompts of the bias itself. 0: the figure is about these
            very prompts; otherwise about all prompts that they are a sample of.
        level: Coverage, in (0, 1).

    Raises:
        ConfigError: An argument out of range.
    """
    if classes < 2 or prompts < 1 or faces <= 0 or spread < 0 or not 0 < level < 1:
        raise ConfigError(
            "A plan needs two classes, a prompt, a face, a spread >= 0 and a level in (0, 1)",
            given=(classes, prompts, faces, spread, level),
        )
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z * math.sqrt((spread**2 + (2 / classes) ** 2 / faces) / prompts)


def plan_images_per_prompt(
    wanted: float,
    *,
    classes: int,
    prompts: int,
    spread: float = 0.0,
    no_face_rate: float = 0.0,
    level: float = 0.95,
) -> AuditPlan:
    """Fewest images per prompt with which the interval of the mean bias is +-``wanted`` or less.

    Args:
        wanted: Half the interval's width, in (0, 1).
        classes: Classes or cells of what is measured, k >= 2.
        prompts: Prompts, at least 1.
        spread: See ``half_width``; about 0.3 for gender in the original Stable Diffusion.
        no_face_rate: Share of the images that will show no face, in [0, 1).
        level: Coverage, in (0, 1).

    Raises:
        ConfigError: An argument out of range; or no number of images is enough: the spread over so
            few prompts alone is wider, and the message says how many prompts would do; or more
            than 100,000 images of each prompt would be needed.
    """
    if not 0 < wanted < 1 or not 0 <= no_face_rate < 1:
        raise ConfigError(
            "A plan needs a half width in (0, 1) and a no-face rate in [0, 1)",
            given=(wanted, no_face_rate),
            do="ask for a half width such as 0.03, and give the no-face rate as a share",
        )
    at_one = half_width(classes=classes, prompts=prompts, faces=1, spread=spread, level=level)
    z = NormalDist().inv_cdf((1 + level) / 2)
    left = (wanted / z) ** 2 * prompts - spread**2
    if left <= 0 < spread:
        enough = math.floor((z * spread / wanted) ** 2) + 1
        raise ConfigError(
            "No number of images is enough: the prompts differ more than that among themselves",
            given=f"+-{wanted:g} over {prompts} prompts with a spread of {spread:g}",
            do=f"use more than {enough} prompts, or ask about these very prompts (spread 0)",
        )
    least = (2 / classes) ** 2 / left if left > 0 else math.inf
    if least > MOST * (1 - no_face_rate):
        bound = half_width(
            classes=classes, prompts=prompts, faces=MOST * (1 - no_face_rate), spread=spread,
            level=level,
        )  # fmt: skip
        digit = 10.0 ** (math.floor(math.log10(bound)) - 1)
        bound = math.ceil(bound / digit) * digit
        raise ConfigError(
            f"This would take more than {MOST:,} images of each prompt",
            given=f"a half width of {wanted:g} over {prompts} prompts",
            do=f"ask for {bound:.2g} or more, or use more prompts",
        )
    faces = 1 if at_one <= wanted else math.ceil(least - 1e-9)
    images = math.ceil(faces / (1 - no_face_rate))
    reached = half_width(
        classes=classes,
        prompts=prompts,
        faces=images * (1 - no_face_rate),
        spread=spread,
        level=level,
    )
    return AuditPlan(images=images, half_width=reached, total=images * prompts)
