"""The one table of base, methods that do not train, and aligned."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from fairness_core.reporting import ReportData, build_page
from fairness_core.reporting.methods import method_rows_of
from tests.reporting.document import Document


@pytest.fixture
def compared(small: ReportData) -> ReportData:
    block = {
        **small.evaluation["aligned"],
        "named": {"value": 0.75, "ci95": [0.5, 1.0], "ratio": 1.0},
        "preparation": {"seconds": 12.5, "network_forwards": 320, "network_backwards": 0},
    }
    evaluation = {**small.evaluation, "baselines": {"uce": block, "debiasvl": block}}
    log = pd.DataFrame(
        {
            "iteration": [0, 1],
            "loss_total": [2.0, 1.0],
            "seconds": [3.0, 4.0],
            "network_forwards": [100.0, 100.0],
            "network_backwards": [20.0, 20.0],
        }
    )
    return replace(small, evaluation=evaluation, training=log)


def test_rows_run_from_base_over_the_methods_to_aligned(compared: ReportData) -> None:
    rows = method_rows_of(compared.evaluation, compared.training)
    assert [row.name for row in rows] == ["base", "uce", "debiasvl", "aligned"]
    base, uce, _, aligned = rows
    assert (base.preparation.value, base.calls.value) == (0.0, 0.0)
    assert (uce.preparation.value, uce.calls.value, uce.kept.low) == (12.5, 320.0, 0.5)
    assert (aligned.preparation.value, aligned.calls.value) == (7.0, 240.0)
    first = next(key for key in compared.space.names)
    assert base.biases[0].value == compared.evaluation["base"][first]["bias"]
    assert len(base.biases) == len(aligned.biases)
    without = method_rows_of(compared.evaluation, None)[-1]
    assert without.calls.value is None


def test_the_page_has_the_table_only_where_methods_were_compared(
    small: ReportData, compared: ReportData
) -> None:
    table = Document(build_page(compared)).section("methods")
    assert [cell.text for cell in table.all("th", scope="row")] == [
        "base",
        "uce",
        "debiasvl",
        "aligned",
    ]
    assert "320" in table.text
    assert 'id="methods"' not in build_page(small)
