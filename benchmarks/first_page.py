"""The README's figures and picture, from the default run's own files.

Run from the repository's root after ``dvc repro``: ``python -m benchmarks.first_page``. The table
is that of ``metrics/evaluation.json``, the picture shows the first images of four held-out prompts,
base and aligned from the same noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from PIL import Image

from benchmarks.measure import say
from fairness_core.errors import ArtifactError
from fairness_core.reporting import before_after_markdown, side_by_side
from fairness_core.runtime.artifacts import read_table

BEGIN, END = "<!-- figures: begin -->\n", "\n<!-- figures: end -->"
PICTURE = Path("docs/images/base-and-aligned.png")
SHOWN = ("test-0001", "test-0006", "test-0013", "test-0018")
EACH, TILE = 6, 80
NOTE = "Held-out occupations of the drawn world; the first six images of each, not chosen."


def figures(page: str, evaluation: Path) -> str:
    """The page with the evaluation's table between its marks.

    Raises:
        ArtifactError: The page has no marks.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ArtifactError(
            "The page does not have one place for figures", do=f"write {BEGIN}{END}"
        )
    head, rest = page.split(BEGIN)
    table = before_after_markdown(json.loads(evaluation.read_text(encoding="utf-8")))
    return f"{head}{BEGIN}{table}{END}{rest.split(END)[1]}"


def picture(images: Path, prompts: Path) -> Image.Image:
    """The first images of the prompts shown, base on the left.

    Args:
        images: Folder with ``base`` and ``aligned`` of ``generate_images``.
        prompts: Folder of ``generate_prompts``.

    Raises:
        ArtifactError: A table is missing, or one of the prompts has no images.
    """
    catalog = read_table(prompts / "prompts.parquet").set_index("prompt_id")
    shown = {model: _first(images / model) for model in ("base", "aligned")}
    return side_by_side(
        shown["base"],
        shown["aligned"],
        columns=EACH,
        tile=TILE,
        note=NOTE,
        row_labels=[catalog.loc[name, "subject"] for name in SHOWN],
    )


def _first(folder: Path) -> list[Image.Image]:
    table = read_table(folder / "images.parquet")
    rows = table[table["prompt_id"].isin(SHOWN) & (table["index"] < EACH)]
    files = rows.sort_values(["prompt_id", "index"])["file"]
    if len(files) != EACH * len(SHOWN):
        raise ArtifactError(
            f"There are not {EACH} images of each prompt shown",
            given=f"{len(files)} images in {folder}",
            do=f"generate those of {', '.join(SHOWN)}",
        )
    return [Image.open(folder / file).convert("RGB") for file in files]


def main() -> int:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=Path("README.md"))
    parser.add_argument("--picture", type=Path, default=PICTURE, help="written")
    parser.add_argument("--metrics", type=Path, default=Path("metrics/evaluation.json"))
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    arguments = parser.parse_args()
    page = figures(arguments.page.read_text(encoding="utf-8"), arguments.metrics)
    made = picture(arguments.artifacts / "images", arguments.artifacts / "prompts")
    arguments.page.write_text(page, encoding="utf-8")
    made.save(arguments.picture)
    say(f"wrote {arguments.page} and {arguments.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
