from __future__ import annotations

import math
from typing import Any

import pytest

from fairness_core.errors import ArtifactError
from fairness_core.reporting.checks import (
    faceless,
    generated_accuracy,
    named_checks,
    planted_checks,
    quality_checks,
)
from fairness_core.reporting.summary import (
    Estimate,
    entry_of,
    estimate,
    gap_rows,
    interval_text,
    label_of,
    number,
    percent,
)


def two(base: dict[str, Any], aligned: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"base": base, "aligned": aligned, **more}


def test_numbers_are_written_the_same_everywhere() -> None:
    assert number(0.0625) == "0.062"
    assert number(-0.2) == "\u22120.200"
    assert number(-0.0002) == "0.000"
    assert number(61.2, 0) == "61"
    assert percent(-0.2) == "\u221220\u00a0%"
    assert percent(-0.001) == "0\u00a0%"
    assert percent(0.754) == "75\u00a0%"
    assert number(None) == percent(None) == "not given"
    assert interval_text(Estimate(0.5, 0.4, 0.6)) == "0.400 to 0.600"
    assert interval_text(Estimate(0.5, 0.4, 0.6), as_percent=True) == "40\u00a0% to 60\u00a0%"
    assert interval_text(Estimate(0.5)) == "no interval given"
    assert label_of("gender_x_skin_tone") == "gender \u00d7 skin tone"


def test_an_estimate_is_read_from_every_form_it_has() -> None:
    assert estimate(0.5) == Estimate(0.5)
    assert estimate({"bias": 0.5, "ci95": [0.4, 0.6]}, value="bias") == Estimate(0.5, 0.4, 0.6)
    assert estimate({"mean": 0.5, "ci95": None}) == Estimate(0.5)
    assert estimate(None) == estimate(math.nan) == estimate(True) == Estimate(None)
    beside = {"clip_t": 0.3, "ci95": {"clip_t": [0.2, 0.4]}}
    assert entry_of(beside, "clip_t") == Estimate(0.3, 0.2, 0.4)
    assert entry_of(beside, "dino") == Estimate(None)
    assert entry_of({"clip_t": {"mean": 0.3, "ci95": (0.2, 0.4)}}, "clip_t").high == 0.4
    with pytest.raises(ArtifactError, match="not a pair of numbers"):
        estimate({"value": 0.5, "ci95": 0.1})


def test_gaps_are_listed_single_attributes_first() -> None:
    entry = {"bias": 0.5, "ci95": [0.4, 0.6], "sd": 0.2, "fair_floor": 0.1}
    lower = {**entry, "bias": 0.3, "fair_floor": 0.1004}
    keys = ("gender_x_race", "gender")
    rows = gap_rows(
        two(
            dict.fromkeys(keys, entry),
            dict.fromkeys(keys, lower),
            change={"gender": {"reduction_to_floor": 0.5, "ci95": [0.2, 0.8]}},
        )
    )
    assert [row.key for row in rows] == ["gender", "gender_x_race"]
    assert rows[0].base == Estimate(0.5, 0.4, 0.6)
    assert rows[0].spread == (0.2, 0.2)
    assert rows[0].floor_text == "0.100"
    assert rows[0].reduction == Estimate(0.5, 0.2, 0.8)
    assert rows[1].reduction == Estimate(None)


@pytest.mark.parametrize(
    ("after", "word"),
    [(0.4, "fell"), (0.6, "rose"), (0.5001, "did not change"), (None, "is incomplete")],
)
def test_direction_is_that_of_the_printed_figures(after: float | None, word: str) -> None:
    row = gap_rows(two({"gender": {"bias": 0.5}}, {"gender": {"bias": after}}))[0]
    assert row.direction == word


def test_an_evaluation_without_models_or_biases_is_refused() -> None:
    with pytest.raises(ArtifactError, match="lacks the model 'base'"):
        gap_rows({"aligned": {}})
    with pytest.raises(ArtifactError, match="no bias that both models have"):
        gap_rows(two({"gender": {"bias": 0.5}}, {"clip_t": 0.3}))
    with pytest.raises(ArtifactError, match="change or named figures are no mapping"):
        gap_rows(two({}, {}, change=[1]))


def test_checks_are_empty_when_nothing_was_measured() -> None:
    bare = two({"gender": {"bias": 0.5}}, {"gender": {"bias": 0.4}}, named={})
    assert quality_checks(bare) == named_checks(bare) == []
    assert planted_checks(bare) == generated_accuracy(bare) == []
    assert faceless(bare) == {}


def test_a_ratio_that_does_not_exist_is_missing_not_zero() -> None:
    named = {"base": 0.0, "aligned": 0.1, "ratio": None, "ci95": {"base": [0, 0], "ratio": None}}
    row = named_checks(two({}, {}, named=named))[0]
    assert row.base == Estimate(0.0, 0.0, 0.0)
    assert row.change == row.change.__class__(None)
