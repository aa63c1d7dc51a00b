from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from fairness_core.reporting import (
    ReportData,
    before_after_markdown,
    before_after_table,
    before_after_text,
)
from fairness_core.reporting.summary import number, percent
from tests.reporting import world


def expected(evaluation: dict[str, Any]) -> list[str]:
    texts = ["0.312", "0.309", "0.812", "0.733", "0.021", "0.018", "0.962", "0.951"]
    for model in ("base", "aligned"):
        for key in ("gender", "race", "age", "gender_x_race"):
            entry = evaluation[model][key]
            texts += [number(entry["bias"]), number(entry["fair_floor"])]
            texts += [number(end) for end in entry["ci95"]]
    reductions = [entry.get("reduction_to_floor") for entry in evaluation["change"].values()]
    return texts + [percent(value) for value in reductions if value is not None]


def test_all_three_forms_hold_every_figure(data: ReportData) -> None:
    buffer = io.StringIO()
    Console(file=buffer, width=80, force_terminal=False).print(before_after_table(data.evaluation))
    for text in (
        buffer.getvalue(),
        before_after_text(data.evaluation),
        before_after_markdown(data.evaluation),
    ):
        for figure in expected(dict(data.evaluation)):
            assert figure in text
        assert "\u2026" not in text
        assert "gender \u00d7 race" in text
        assert "fair sampler" in text.lower().replace("-", " ") or "Floor:" in text


def test_the_terminal_table_fits_80_columns(data: ReportData) -> None:
    buffer = io.StringIO()
    Console(file=buffer, width=80, force_terminal=False).print(before_after_table(data.evaluation))
    assert max(len(line) for line in buffer.getvalue().splitlines()) <= 80


def test_text_columns_line_up_and_markdown_is_a_table(data: ReportData) -> None:
    lines = before_after_text(data.evaluation).splitlines()
    header = lines[0]
    for name in ("base", "aligned"):
        end = header.index(name) + len(name)
        assert all(line[end : end + 2] in ("", "  ") for line in lines[2:12])
    rows = [line for line in before_after_markdown(data.evaluation).splitlines() if "|" in line]
    assert {line.count("|") for line in rows} == {6}
    assert "over 3 held-out prompts of 6 images each" in lines[-1]


def test_missing_intervals_and_floors_are_not_invented(data: ReportData) -> None:
    text = before_after_text(world.without_extras(data).evaluation)
    assert "[" not in text
    assert text.count("not given") == 2 * 4
