from __future__ import annotations

import re

import numpy as np
import pytest

from fairness_core.reporting import svg
from fairness_core.reporting.summary import Estimate
from tests.reporting.document import Document, Element


def drawn(markup: str) -> Element:
    return Document(markup).root.all("svg")[0]


def test_a_bar_shows_share_interval_and_target() -> None:
    bar = drawn(svg.share_bar("base", Estimate(0.4, 0.25, 0.6), 0.5))
    assert bar.all("rect", class_="base")[0].attributes["width"] == "40.00%"
    whisker = bar.all("line", class_="whisker")[0].attributes
    assert (whisker["x1"], whisker["x2"]) == ("25.00%", "60.00%")
    assert bar.all("line", class_="target")[0].attributes["x1"] == "50.00%"


def test_what_is_missing_is_not_drawn() -> None:
    bar = drawn(svg.share_bar("base", Estimate(None), None))
    assert [e.attributes["class"] for e in bar.walk()] == ["track"]
    lane = drawn(svg.gap_lane("base", Estimate(0.2), None, 0.5))
    assert {e.attributes["class"] for e in lane.walk()} == {"axis", "point base"}


def test_a_lane_places_bias_and_floor_on_its_axis() -> None:
    lane = drawn(svg.gap_lane("aligned", Estimate(0.1, 0.05, 0.6), 0.02, 0.5))
    assert lane.all("circle")[0].attributes["cx"] == "20.00%"
    assert lane.all("rect")[0].attributes["width"] == "4.00%"
    reach = lane.all("line", class_="reach")[0].attributes
    assert (reach["x1"], reach["x2"]) == ("10.00%", "100.00%")


def test_a_curve_spans_its_frame_and_says_its_ends() -> None:
    x, y = np.arange(50.0), np.linspace(1.0, 0.0, 50)
    chart = drawn(svg.curve(x, y, label="Loss", smooth=5))
    raw, mean = (line.attributes["points"].split() for line in chart.all("polyline"))
    assert len(raw) == len(mean) == 50
    assert float(raw[0].split(",")[0]) == 44.0
    assert float(raw[-1].split(",")[0]) == 312.0
    assert float(raw[0].split(",")[1]) < float(raw[-1].split(",")[1])
    label = chart.attributes["aria-label"]
    assert label == "Loss: 0.959 at the start, 0.0408 at the end, 50 values."


def test_the_moving_mean_of_a_constant_is_that_constant_up_to_the_ends() -> None:
    chart = drawn(svg.curve(np.arange(9.0), np.full(9, 0.5), label="c", smooth=4))
    raw, mean = (line.attributes["points"] for line in chart.all("polyline"))
    assert raw == mean


@pytest.mark.parametrize("y", [[np.nan, 0.2, np.inf], [0.0], [-0.3, 0.3]])
def test_a_curve_survives_gaps_single_points_and_negatives(y: list[float]) -> None:
    markup = svg.curve(np.arange(len(y)), y, label="c")
    assert not re.search("nan|inf|-0<", markup)
    assert len(drawn(markup).all("polyline")) == 1


def test_a_curve_without_values_says_so() -> None:
    assert "no finite value" in svg.curve([0.0], [np.nan], label="c")


def test_reliability_leaves_empty_bins_out_and_is_spoken() -> None:
    bins = [
        {"confidence": float("nan"), "accuracy": float("nan"), "count": 0},
        {"confidence": 0.6, "accuracy": 0.5, "count": 10},
        {"confidence": 1.0, "accuracy": 1.0, "count": 40},
    ]
    diagram = drawn(svg.reliability_diagram(bins, label="Gender"))
    dots = diagram.all("circle")
    assert len(dots) == 2
    assert float(dots[0].attributes["r"]) < float(dots[1].attributes["r"])
    ideal = diagram.all("line", class_="ideal")[0].attributes
    assert (dots[1].attributes["cx"], dots[1].attributes["cy"]) == (ideal["x2"], ideal["y2"])
    assert "confidence 0.60: accuracy 0.50 of 10" in diagram.attributes["aria-label"]
    empty = drawn(svg.reliability_diagram(bins[:1], label="Gender"))
    assert "No bin holds a face" in empty.attributes["aria-label"]


def test_attributes_and_text_are_escaped() -> None:
    markup = svg.element("text", "<b>", aria_label='"a" & <b>', class_="x")
    assert markup == '<text aria-label="&#34;a&#34; &amp; &lt;b&gt;" class="x">&lt;b&gt;</text>'
