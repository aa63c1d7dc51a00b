"""The evaluation that the evaluation package writes is the one that the report reads."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from fairness_core.evaluation import Bootstrap, compare
from fairness_core.prompts import check_catalog
from fairness_core.reporting import ReportData, before_after_text, build_page
from fairness_core.reporting.checks import generated_accuracy, named_checks, planted_checks
from fairness_core.reporting.summary import number
from tests.reporting.document import Document


def test_every_figure_of_the_evaluation_reaches_the_page(small: ReportData) -> None:
    prompts = small.prompts.assign(
        family="occupation", planted_gender_female=0.9, planted_gender_male=0.1
    )
    named = pd.DataFrame(
        {
            "prompt_id": ["named-0000"],
            "prompt": ["a female nurse"],
            "split": ["named"],
            "family": ["named"],
            "subject": ["nurse"],
            "named_gender": ["female"],
        }
    )
    catalog = check_catalog(pd.concat([prompts, named], ignore_index=True), small.space)
    faces = pd.concat(
        [
            small.faces.assign(split="test"),
            small.faces.assign(split="named", prompt_id="named-0000"),
        ]
    )
    rng = np.random.default_rng(0)
    quality = faces[["prompt_id", "index", "model", "split"]].assign(
        **{name: rng.uniform(0.2, 0.9, len(faces)) for name in ("clip_t", "clip_i", "dino")}
    )
    found = compare(
        faces,
        quality,
        catalog,
        small.space,
        split="test",
        seconds={"base": 12.0, "aligned": 13.0},
        bootstrap=Bootstrap(seed=0, resamples=20),
    )
    evaluation = json.loads(json.dumps(found))
    page = Document(build_page(replace(small, prompts=catalog, evaluation=evaluation)))
    result = page.section("result").text
    for model in ("base", "aligned"):
        for key in ("gender", "race", "age", "gender_x_race"):
            low, high = evaluation[model][key]["ci95"]
            assert number(evaluation[model][key]["bias"]) in result
            assert f"{number(low)} to {number(high)}" in result
        for key in ("clip_t", "clip_i", "dino", "no_face_rate"):
            low, high = evaluation[model]["ci95"][key]
            cell = f"{number(evaluation[model][key])} [{number(low)} to {number(high)}]"
            assert cell in page.section("quality").text
    difference = evaluation["change"]["clip_t"]["difference"]
    assert number(difference) in page.section("quality").text
    assert [row.label for row in planted_checks(evaluation)] == ["gender", "gender"]
    assert [row.label for row in named_checks(evaluation)] == ["All", "Gender"]
    assert [row.label for row in generated_accuracy(evaluation)] == ["Gender"]
    assert number(evaluation["named"]["aligned"]) in page.section("named").text
    assert "12" in before_after_text(evaluation)
