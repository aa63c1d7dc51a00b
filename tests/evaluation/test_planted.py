"""Corrected shares against a truth that was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation import named_confusion, planted_agreement
from fairness_core.metrics import Confusion, FaceCounts

SPACE = AttributeSpace.from_mapping({"gender": {"classes": ["female", "male"]}})
MATRIX = np.array([[0.97, 0.03], [0.25, 0.75]])
PROMPTS = tuple(f"p{i:02d}" for i in range(24))


def compared(shift=0.0, seed=0, labels=800):
    """Twenty-four prompts seen through a classifier that takes men for women."""
    rng = np.random.default_rng(seed)
    female = rng.uniform(0.05, 0.95 - shift, len(PROMPTS))
    truth = pd.DataFrame({"female": female, "male": 1 - female}, index=pd.Index(PROMPTS))
    shown = np.stack([female + shift, 1 - female - shift], axis=1)
    counts = rng.multinomial(60, shown @ MATRIX)
    seen = FaceCounts("gender", PROMPTS, ("female", "male"), counts, counts.sum(1))
    confusion = Confusion(rng.multinomial([labels // 2] * 2, MATRIX), ("female", "male"))
    return planted_agreement(seen, truth, confusion, rng=rng, resamples=300)


def test_what_was_planted_is_found_once_errors_are_corrected():
    found = compared()
    female = found["classes"]["female"]
    assert female["raw"] - female["planted"] > 0.07
    assert abs(female["difference"]) < 0.03
    assert female["agrees"]
    errors = found["mean_abs_difference"]
    assert errors["by_chance"] < errors["corrected"] < errors["raw"]
    low, high = found["bias"]["ci95"]
    assert low < found["bias"]["planted"] < high
    assert found["prompts"] == 24


def test_another_distribution_differs():
    assert not compared(shift=0.15)["classes"]["female"]["agrees"]


@pytest.mark.integration  # half a minute
def test_intervals_hold_the_planted_shares():
    held = [compared(seed=seed)["classes"]["female"]["agrees"] for seed in range(60)]
    assert 0.88 <= np.mean(held) <= 1.0


def test_prompts_that_name_a_class_are_labels():
    prompts = pd.DataFrame(
        {"prompt_id": ["n0", "n1", "t0"], "named_gender": ["female", "male", None]}
    )
    faces = pd.DataFrame(
        {
            "prompt_id": ["n0", "n0", "n0", "n1", "n1", "t0"],
            "present": [True, True, False, True, True, True],
            "gender": ["female", "male", None, "male", "male", "female"],
        }
    )
    found = named_confusion(faces, prompts, SPACE, "gender")
    assert found.counts.tolist() == [[1, 1], [0, 2]]
    assert found.classes == ("female", "male")


def test_a_prompt_without_truth_or_faces_is_an_error():
    counts = FaceCounts("gender", ("a",), ("female", "male"), np.array([[3, 1]]), np.array([4]))
    confusion = Confusion(np.diag([9, 9]), ("female", "male"))
    truth = pd.DataFrame({"female": [0.5], "male": [0.5]}, index=pd.Index(["b"]))
    with pytest.raises(ArtifactError, match="1 without a truth"):
        planted_agreement(counts, truth, confusion, rng=np.random.default_rng(0), resamples=10)
