"""Targets of single prompts."""

import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError, TargetError
from fairness_core.prompts import (
    apply_overrides,
    check_catalog,
    own_shares,
    own_targets,
    prompt_spaces,
    read_overrides,
)

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)
CATALOG = check_catalog(
    pd.DataFrame(
        {
            "prompt_id": ["train-0", "train-1", "test-0"],
            "prompt": ["a nurse", "a nurse at night", "a guard"],
            "split": ["train", "train", "test"],
            "family": "occupation",
            "subject": ["nurse", "nurse", "guard"],
        }
    ),
    SPACE,
)


def test_a_subjects_target_holds_for_all_its_prompts_and_a_prompts_for_itself():
    own = {"Nurse": {"gender": [0.8, 0.2]}, "a guard": {"gender": "uniform", "age": {"old": 1.0}}}
    table = apply_overrides(CATALOG, SPACE, own)
    spaces = prompt_spaces(check_catalog(table, SPACE), SPACE)
    assert set(spaces) == {"train-0", "train-1", "test-0"}
    assert spaces["train-1"]["gender"].target == (0.8, 0.2)
    assert spaces["train-1"]["age"].target == (0.5, 0.5)
    assert spaces["test-0"]["age"].target == (0.0, 1.0)


def test_without_overrides_the_catalog_stays_as_it_was():
    pd.testing.assert_frame_equal(apply_overrides(CATALOG, SPACE, {}), CATALOG)
    assert prompt_spaces(CATALOG, SPACE) == {}


def test_all_problems_come_in_one_message():
    own = {"nurze": {"gender": "uniform"}, "guard": {"gendr": "uniform", "age": [0.5, 0.6]}}
    with pytest.raises(TargetError, match="did you mean 'nurse'") as caught:
        apply_overrides(CATALOG, SPACE, own)
    assert "did you mean 'gender'" in str(caught.value)
    assert "sums to 1.1" in str(caught.value)


def test_a_file_says_the_same(tmp_path):
    path = tmp_path / "targets.csv"
    path.write_text(
        "prompt,attribute,class,share\nnurse,gender,female,0.8\nnurse,gender,male,0.2\n"
    )
    assert read_overrides(path) == {"nurse": {"gender": {"female": 0.8, "male": 0.2}}}
    path.write_text("prompt,attribute,class,share\nnurse,gender,female,many\n")
    with pytest.raises(TargetError, match="rows 2"):
        read_overrides(path)
    path.write_text("prompt,attribute\n")
    with pytest.raises(TargetError, match="lacks class, share"):
        read_overrides(path)
    with pytest.raises(PromptError, match="no prompt catalog here"):
        read_overrides(tmp_path / "nothing.csv")


def test_a_list_of_other_prompts_takes_the_targets_that_concern_it():
    own = {"nurse": {"gender": [0.8, 0.2]}, "pilot": {"gender": [0.1, 0.9]}}
    listed = pd.DataFrame({"prompt_id": ["a", "b"], "prompt": ["Nurse", "a guard"]})
    table, unmet = own_targets(listed, SPACE, own)
    assert unmet == ["pilot"]
    assert own_shares(table, SPACE) == {"a": {"gender": {"female": 0.8, "male": 0.2}}}
    named = listed.assign(subject=["x", "pilot"])
    table, unmet = own_targets(named, SPACE, own)
    assert unmet == []
    assert set(own_shares(table, SPACE)) == {"a", "b"}
    with pytest.raises(TargetError, match="no attribute"):
        own_targets(listed, SPACE, {"nurse": {"gendr": [0.8, 0.2]}})
