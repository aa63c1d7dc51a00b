from __future__ import annotations

from dataclasses import replace

import pytest

from fairness_core.errors import ArtifactError, ConfigError, PromptError
from fairness_core.reporting import ReportData


@pytest.mark.parametrize(
    ("table", "column"), [("prompts", "subject"), ("images", "file"), ("faces", "race")]
)
def test_a_missing_column_is_named(data: ReportData, table: str, column: str) -> None:
    cut = getattr(data, table).drop(columns=column)
    with pytest.raises(ArtifactError, match=f"{table} table lacks columns.*Given: {column}"):
        replace(data, **{table: cut})


def test_both_models_are_needed_everywhere(data: ReportData) -> None:
    only = {key: value for key, value in data.evaluation.items() if key != "aligned"}
    with pytest.raises(ArtifactError, match="'aligned' is missing.*not in evaluation"):
        replace(data, evaluation=only)
    with pytest.raises(ArtifactError, match="'base' is missing.*not in images table, folders"):
        replace(
            data,
            images=data.images[data.images["model"] != "base"],
            folders={"aligned": data.folders["aligned"]},
        )


def test_an_unknown_attribute_or_split_is_refused(data: ReportData) -> None:
    with pytest.raises(ConfigError, match="no attribute 'hair'"):
        replace(data, aligned=("hair",))
    with pytest.raises(PromptError, match=r"no prompt of the split 'final'.*\['test'\]"):
        replace(data, split="final")
    with pytest.raises(ConfigError, match="at least one picture per prompt.*Given: 0"):
        replace(data, images_per_prompt=0)
