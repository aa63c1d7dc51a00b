"""The optional sections: sweeps, variety, distances, prompts without people."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from fairness_core.reporting import ReportData, build_page
from fairness_core.reporting.robustness import robustness
from tests.reporting.document import Document


def point(value: object, base: float, aligned: float) -> dict[str, Any]:
    def figures(bias: float) -> dict[str, Any]:
        entry = {"bias": bias, "ci95": [bias - 0.04, bias + 0.05], "fair_floor": 0.11, "sd": 0.1}
        return {"gender": entry, "clip_t": 0.3}

    return {"value": value, "base": figures(base), "aligned": figures(aligned)}


def extras() -> dict[str, Any]:
    pair = {"base": 0.31, "aligned": 0.28, "ratio": 0.903, "difference": -0.03}
    ends = {name: [value - 0.01, value + 0.01] for name, value in pair.items()}
    scene = {"clip_t": 0.29, "clip_i": 0.97, "dino": 0.93, "face_rate": 0.02, "ci95": {}}
    return {
        "sweeps": {
            "centre": {"guidance": 3.0, "steps": 20, "sampler": "own"},
            "n_prompts": 6,
            "images_per_prompt": 10,
            "axes": {
                "guidance": [point(1.0, 0.3, 0.2), point(3.0, 0.7, 0.21), point(7.5, 0.8, 0.4)],
                "sampler": [point("own", 0.7, 0.21), point("ddim", 0.69, 0.25)],
            },
        },
        "diversity": {
            "prompt": {**pair, "ci95": ends, "prompts": 6},
            "gender": {**pair, "ci95": ends, "prompts": 6},
            "gender=female": {**pair, "ratio": None, "ci95": {**ends, "ratio": None}, "prompts": 5},
        },
        "frechet": {
            "people": {
                "distance": 0.061,
                "floor": 0.012,
                "excess": 0.049,
                "ci95": {"distance": [0.05, 0.07], "floor": [0.01, 0.02], "excess": [0.04, 0.06]},
            },
            "scenes": {},
        },
        "scenes": {
            "base": {**scene, "clip_i": 1.0, "dino": 1.0},
            "aligned": {**scene, "ci95": {"clip_i": [0.96, 0.98]}},
            "change": {"clip_t": {"difference": -0.001, "difference_ci95": [-0.002, 0.0005]}},
            "other_noise": {"clip_i": 0.81, "dino": 0.62},
            "n_prompts": 30,
            "images_per_prompt": 12,
        },
    }


@pytest.fixture(scope="module")
def section(small_page: Document):
    return small_page.section("robustness")


@pytest.fixture(scope="module")
def small_page(small: ReportData) -> Document:
    return Document(build_page(replace(small, evaluation={**small.evaluation, **extras()})))


def test_a_sweep_is_a_chart_of_both_models_with_intervals_and_floor(section) -> None:
    charts = section.all("figure")
    names = [chart.all("figcaption")[0].text for chart in charts]
    assert names == ["Gender bias by guidance scale", "Gender bias by sampler"]
    drawing = charts[0].all("svg")[0]
    assert len(drawing.all("rect", class_="point")) == len(drawing.all("circle")) == 3
    assert len(drawing.all("line", class_="reach")) == 6
    assert len(drawing.all("polyline", class_="floor-line")) == 1
    assert "guidance scale 7.5: base 0.800 (0.760 to 0.850)" in drawing.attributes["aria-label"]
    bold = [e.text for e in drawing.all("text") if e.attributes.get("font-weight") == "700"]
    assert bold == ["3"]
    across = [float(e.attributes["cx"]) for e in drawing.all("circle")]
    assert (across[1] - across[0]) / (across[2] - across[0]) == pytest.approx(2 / 6.5, abs=0.01)


def test_variety_distances_and_scenes_are_tables(section) -> None:
    text = section.text
    for expected in (
        "Within gender", "0.903 [0.893 to 0.913]", "female", "0.049 [0.040 to 0.060]",
        "Prompts of people", "0.970 [0.960 to 0.980]", "30 prompts of 12 images each",
        "score 0.810 by CLIP-I and 0.620 by DINO", "\u22120.001 [\u22120.002 to 0.001]",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Prompts without people" in text
    assert not re.search(r"\bnan\b|None", text)


def test_without_any_of_it_there_is_no_section(page: Document) -> None:
    assert not robustness({})
    assert "robustness" not in [e.attributes["id"] for e in page.root.all("section")]


def test_a_single_part_is_enough(small: ReportData) -> None:
    alone = {"frechet": extras()["frechet"]}
    found = robustness(alone)
    assert found
    assert (found.sweeps, found.variety, found.scenes) == ((), (), ())
