from __future__ import annotations

import pandas as pd
import pytest

from fairness_core.reporting.shares import prompt_shares
from tests.reporting.world import SPACE


def faces() -> pd.DataFrame:
    rows = [
        ("base", "a", True, "female", "light"),
        ("base", "a", True, "female", "dark"),
        ("base", "a", True, "male", "dark"),
        ("base", "a", False, None, None),
        ("base", "b", False, None, None),
        ("aligned", "a", True, "male", "brown"),
    ]
    return pd.DataFrame(rows, columns=["model", "prompt_id", "present", "gender", "race"])


def test_shares_are_of_detected_faces() -> None:
    found = prompt_shares(faces(), SPACE, ["gender"])["base"]["a"]
    assert (found.images, found.faces) == (4, 3)
    female, male = found.classes
    assert (female.name, female.count, female.target) == ("female", 2, 0.5)
    assert female.estimate.value == pytest.approx(2 / 3)
    assert female.estimate.low == pytest.approx(0.20766, abs=1e-5)  # Wilson, 2 of 3
    assert female.estimate.high == pytest.approx(0.93851, abs=1e-5)
    assert male.estimate.value == pytest.approx(1 / 3)
    assert found.gap == pytest.approx(1 / 3)


def test_several_attributes_are_counted_jointly() -> None:
    found = prompt_shares(faces(), SPACE, ["gender", "race"])["base"]["a"]
    assert len(found.classes) == 8
    counts = {share.name: share.count for share in found.classes if share.count}
    assert counts == {
        "female \u00b7 light": 1,
        "female \u00b7 dark": 1,
        "male \u00b7 dark": 1,
    }
    assert {share.target for share in found.classes} == {0.125}


def test_a_prompt_without_a_face_has_no_share() -> None:
    found = prompt_shares(faces(), SPACE, ["gender"])["base"]["b"]
    assert (found.images, found.faces, found.gap) == (1, 0, None)
    assert all(share.estimate.value is None for share in found.classes)
    assert "b" not in prompt_shares(faces(), SPACE, ["gender"])["aligned"]
