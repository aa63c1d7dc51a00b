"""The README's figures are those of the metrics; its picture shows the same noise twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from benchmarks import first_page
from fairness_core.errors import ArtifactError
from fairness_core.runtime.artifacts import write_table

COLOURS = {"base": "red", "aligned": "blue"}


def test_the_readme_has_the_figures_of_the_metrics(repository: Path) -> None:
    page = (repository / "README.md").read_text()
    made = first_page.figures(page, repository / "metrics" / "evaluation.json")
    assert made == page, "run python -m benchmarks.first_page"


def test_a_page_without_a_place_for_figures_is_refused(repository: Path) -> None:
    with pytest.raises(ArtifactError, match="one place for figures"):
        first_page.figures("# Evenhand", repository / "metrics" / "evaluation.json")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "prompts").mkdir()
    catalog = pd.DataFrame({"prompt_id": first_page.SHOWN, "subject": ["clerk"] * 4})
    write_table(catalog, tmp_path / "prompts" / "prompts.parquet")
    rows = [
        {"prompt_id": name, "index": i, "file": f"{name}-{i}.png"}
        for name in (*first_page.SHOWN, "test-0099")
        for i in range(first_page.EACH + 2)
    ]
    for model, colour in COLOURS.items():
        folder = tmp_path / "images" / model
        folder.mkdir(parents=True)
        write_table(pd.DataFrame(rows), folder / "images.parquet")
        for row in rows:
            wanted = row["prompt_id"] in first_page.SHOWN and int(row["index"]) < first_page.EACH
            Image.new("RGB", (8, 8), colour if wanted else "lime").save(folder / str(row["file"]))
    return tmp_path


def test_the_picture_has_base_left_and_aligned_right(run: Path) -> None:
    made = np.asarray(first_page.picture(run / "images", run / "prompts"))
    places = {
        model: np.argwhere((made == np.asarray(Image.new("RGB", (1, 1), colour))[0, 0]).all(-1))
        for model, colour in COLOURS.items()
    }
    tiles = first_page.EACH * len(first_page.SHOWN) * first_page.TILE**2
    assert len(places["base"]) == len(places["aligned"]) == tiles
    assert places["base"][:, 1].max() < places["aligned"][:, 1].min()
    assert not (made == (0, 255, 0)).all(-1).any()


def test_missing_images_are_named(run: Path) -> None:
    table = run / "images" / "base" / "images.parquet"
    write_table(pd.read_parquet(table).iloc[1:], table)
    with pytest.raises(ArtifactError, match="23 images in"):
        first_page.picture(run / "images", run / "prompts")
