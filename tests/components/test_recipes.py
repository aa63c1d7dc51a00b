"""Recipes for Stable Diffusion 1.5 in the docs: they fit, and take what is said of them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from components.measuring import judging, sampling
from components.plan_command import gigabytes
from components.planning import kept_bytes, plan
from components.pricing import Assumptions, cheaper, price
from components.shapes import costs
from fairness_core.config import Params, find_preset, load_preset


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    text = (repository / "docs/performance.md").read_text()
    return text.partition("## Planning a run\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def recipes(repository: Path, page: str) -> dict[str, Params]:
    """Memory of the card to the parameters of the command line that ``evenhand run`` is given."""
    joined = page.replace("\\\n", " ")
    found = {}
    for line, card in re.findall(r"^evenhand run (.*?) +# (\d+GB)$", joined, re.MULTILINE):
        words = shlex.split(line)
        assert words[0] == "--preset"
        assert set(words[2::2]) == {"--set"}
        preset = find_preset(repository / "presets", words[1])
        found[card] = load_preset(repository / "params.yaml", preset, words[3::2])
    return found


@pytest.fixture(scope="module")
def peaks(page: str) -> dict[str, list[float]]:
    """Card to the GiB of each step that the page states."""
    rows = re.findall(r"^\| (\d+GB) \| (.*) \|$", page, re.MULTILINE)
    return {card: [float(cell) for cell in cells.split(" | ")] for card, cells in rows}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_finetuning_fits_and_takes_what_is_written(
    page: str, recipes: dict[str, Params], peaks: dict[str, list[float]]
) -> None:
    assert set(recipes) == {"16GB", "24GB"}
    # Of both recipes: they differ in sizes alone.
    cost = costs(recipes["16GB"])
    for card, params in recipes.items():
        section = params.finetune
        assert (section.precision, section.train_unet, section.checkpointing) == (
            "bfloat16", False, False,
        )  # fmt: skip
        need = plan(section, cost, gigabytes(card), kept=kept_bytes(params, section.steps[1]))
        assert need.fits, card
        assert need.gib == pytest.approx(peaks[card][0], rel=0.05)
    choices = cheaper(section, cost(1, False), Assumptions())
    found = [price(section, cost(1, False), Assumptions()), *choices]
    rows = re.findall(r"\| (\d+)/(\d+) \| (\d+) \|$", page, re.MULTILINE)
    told = [(int(a), int(b)) for a, b, _ in rows]
    assert told == [choice.calls for choice in found]
    for (*_, hours), choice in zip(rows, found, strict=True):
        assert choice.hours == pytest.approx(int(hours), rel=0.02)
        assert all(f"--set {change}" in page for change in choice.changes)


@pytest.mark.slow
def test_images_and_judges_fit_as_written(
    recipes: dict[str, Params], peaks: dict[str, list[float]]
) -> None:
    """On the smaller card; the larger one's recipe decodes all images of a batch at once."""
    for need, told in zip((sampling, judging), peaks["16GB"][1:], strict=True):
        found = need(recipes["16GB"], gigabytes("16GB"))
        assert found.fits
        assert found.gib == pytest.approx(told, rel=0.03)
