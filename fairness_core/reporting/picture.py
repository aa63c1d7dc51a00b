"""One picture for a README: base and aligned grids side by side, the same noise in each place."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from fairness_core.errors import ArtifactError

__all__ = ["fit_square", "side_by_side"]


def side_by_side(
    images_base: Sequence[Image.Image],
    images_aligned: Sequence[Image.Image],
    *,
    columns: int = 4,
    tile: int = 112,
    titles: tuple[str, str] = ("Base", "Aligned"),
    note: str = "",
    row_labels: Sequence[str] = (),
) -> Image.Image:
    """One picture: the base grid on the left, the aligned grid on the right, same noise per place.

    Args:
        images_base: Images in reading order.
        images_aligned: As many, from the same noise and prompts.
        columns: Images per row of each grid.
        tile: Edge of an image in the result, px; resampled with Lanczos.
        titles: Headings of the two grids.
        note: One line below, such as the prompts and guidance.
        row_labels: One label per row, written left of it; empty for none.

    Raises:
        ArtifactError: No image, unequal numbers, or row labels that do not match the rows.
    """
    n = len(images_base)
    rows = math.ceil(n / columns)
    if not n or n != len(images_aligned):
        raise ArtifactError(
            "A side-by-side picture needs as many aligned as base images, at least one",
            given=f"{n} base and {len(images_aligned)} aligned",
        )
    if row_labels and len(row_labels) != rows:
        raise ArtifactError(
            "A side-by-side picture needs one label per row",
            given=f"{len(row_labels)} labels for {rows} rows",
        )
    heading, text = ImageFont.load_default(22), ImageFont.load_default(15)
    gap, margin, between = 6, 24, 36
    indent = round(max((text.getlength(t) for t in row_labels), default=-16)) + 16
    grid = columns * (tile + gap) - gap
    top = margin + 38
    size = (
        2 * margin + indent + 2 * grid + between,
        top + rows * (tile + gap) - gap + (34 if note else 0) + margin,
    )
    canvas = Image.new("RGB", size, "#fbfaf7")
    pen = ImageDraw.Draw(canvas)
    panels = ((images_base, titles[0], "#c04f00"), (images_aligned, titles[1], "#0072b2"))
    for side, (images, title, colour) in enumerate(panels):
        left = margin + indent + side * (grid + between)
        pen.text((left, margin - 4), title, fill="#1c1b19", font=heading)
        pen.rectangle((left, top - 9, left + grid - 1, top - 7), fill=colour)
        for k, image in enumerate(images):
            fitted, _, offset = fit_square(image.convert("RGB"), tile)
            x, y = left + k % columns * (tile + gap), top + k // columns * (tile + gap)
            canvas.paste(fitted, (x + offset[0], y + offset[1]))
    for row, label in enumerate(row_labels):
        y = top + row * (tile + gap) + tile // 2
        pen.text((margin, y), label, fill="#1c1b19", font=text, anchor="lm")
    if note:
        pen.text((margin + indent, size[1] - margin), note, fill="#5c5952", font=text, anchor="ls")
    return canvas


def fit_square(image: Image.Image, tile: int) -> tuple[Image.Image, float, tuple[int, int]]:
    """Fit an image into a square tile with Lanczos resampling.

    Returns:
        The resized image, tile px per image px, and its left and top offset inside the tile.
    """
    scale = tile / max(image.size)
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    # Halving large pictures first costs little of their sharpness and most of the time.
    fitted = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return fitted, scale, ((tile - width) // 2, (tile - height) // 2)
