"""Recipes for Stable Diffusion 1.5 in the docs: they fit, and take what is said of them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from components.measuring import judging, sampling
from components.plan_command import gigabytes
from components.planning import kept_bytes, plan
from components.pricing import Assumptions, calls_per_image, cheaper, price
from components.shapes import costs
from fairness_core.config import Params, find_preset, load_preset
from fairness_core.training.dry_run import Cost


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
def cost(recipes: dict[str, Params]) -> Callable[[int, bool], Cost]:
    """Of both recipes: they differ in sizes alone."""
    return costs(recipes["16GB"])


@pytest.mark.slow
def test_finetuning_fits_as_written(
    recipes: dict[str, Params], cost: Callable[[int, bool], Cost]
) -> None:
    assert set(recipes) == {"16GB", "24GB"}
    for card, params in recipes.items():
        section = params.finetune
        assert (section.precision, section.train_unet, section.checkpointing) == (
            "bfloat16", False, False,
        )  # fmt: skip
        kept = kept_bytes(params, section.steps[1])
        assert plan(section, cost, gigabytes(card), kept=kept).fits, card


@pytest.mark.slow
def test_hours_and_calls_are_those_of_the_table(
    page: str, recipes: dict[str, Params], cost: Callable[[int, bool], Cost]
) -> None:
    section = recipes["24GB"].finetune
    choices = cheaper(section, cost(1, False), Assumptions())
    found = [price(section, cost(1, False), Assumptions()), *choices]
    assert found[0].calls == calls_per_image(section)
    rows = re.findall(r"\| (\d+)/(\d+) \| (\d+) \|$", page, re.MULTILINE)
    told = [(int(a), int(b)) for a, b, _ in rows]
    assert told == [choice.calls for choice in found]
    for (*_, hours), choice in zip(rows, found, strict=True):
        assert choice.hours == pytest.approx(int(hours), rel=0.02)
        assert all(f"--set {change}" in page for change in choice.changes)


@pytest.mark.slow
def test_images_and_judges_fit_as_written(recipes: dict[str, Params]) -> None:
    """The judges of both cards are the same."""
    small = recipes["16GB"]
    assert sampling(small, gigabytes("16GB")).fits
    assert judging(small, gigabytes("16GB")).fits
    assert sampling(recipes["24GB"], gigabytes("24GB")).fits
