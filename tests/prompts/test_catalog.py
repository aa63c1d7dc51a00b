"""Catalog checks: everything wrong is said at once."""

import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError
from fairness_core.prompts import check_catalog, planted_shares, read_catalog, select

SPACE = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"]}, "age": {"classes": ["young", "old"]}}
)


def catalog(**changes):
    rows = pd.DataFrame(
        {
            "prompt_id": ["train-0", "test-0", "named-0"],
            "prompt": ["a harbour engineer", "a harbour nurse", "an old female nurse"],
            "split": ["train", "test", "named"],
            "family": ["occupation", "occupation", "named"],
            "subject": ["harbour engineer", "harbour nurse", "nurse"],
            "named_gender": [None, None, "female"],
            "planted_gender_female": [0.2, 0.7, None],
            "planted_gender_male": [0.8, 0.3, None],
        }
    )
    return rows.assign(**changes)


def test_a_good_catalog_gets_every_column_of_the_schema():
    table = check_catalog(catalog(prompt=["  a harbour engineer ", "b", "c"]), SPACE)
    assert table["prompt"][0] == "a harbour engineer"
    assert table["named_age"].isna().all()
    assert table["planted_age_old"].isna().all()
    shares = planted_shares(table, SPACE, "gender")
    assert list(shares.index) == ["train-0", "test-0"]
    assert list(shares.columns) == ["female", "male"]
    assert shares.loc["test-0", "female"] == 0.7
    assert planted_shares(table, SPACE, "age").empty


def test_the_input_is_left_alone():
    given = catalog()
    check_catalog(given, SPACE)
    pd.testing.assert_frame_equal(given, catalog())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": ["a", " ", "c"]}, "1 rows with a blank prompt"),
        ({"prompt": ["a", "A", "c"]}, "prompt repeated: 'A'"),
        ({"prompt_id": ["x", "x", "y"]}, "prompt_id repeated: 'x'"),
        ({"split": ["train", "tets", "named"]}, "unknown split 'tets' .did you mean 'test'"),
        ({"family": "jobs"}, "unknown family 'jobs' .known are"),
        ({"named_gender": [None, None, "femal"]}, "named_gender holds 'femal'"),
        ({"named_gender": None}, "no attribute named: 'named-0'"),
        ({"named_height": "tall"}, "no attribute or class: 'named_height'"),
        ({"planted_gender_male": [0.9, 0.3, None]}, "no distribution in 'train-0'"),
        ({"planted_gender_male": [0.8, None, None]}, "no distribution in 'test-0'"),
        ({"planted_gender_male": [0.8, "many", None]}, "no distribution in 'test-0'"),
        ({"planted_gender_female": 1.2, "planted_gender_male": -0.2}, "no distribution"),
    ],
)
def test_each_problem_is_named(changes, message):
    with pytest.raises(PromptError, match=message):
        check_catalog(catalog(**changes), SPACE)


def test_all_problems_come_in_one_message():
    with pytest.raises(PromptError, match=r"(?s)blank prompt.*unknown split.*named_gender holds"):
        check_catalog(
            catalog(
                prompt=["", "b", "c"], split=["train", "x", "named"], named_gender=["q", None, None]
            ),
            SPACE,
        )


def test_empty_list_and_missing_columns_are_refused():
    with pytest.raises(PromptError, match="prompt list is empty"):
        check_catalog(catalog().iloc[:0], SPACE)
    with pytest.raises(PromptError, match="lacks the columns split, subject"):
        check_catalog(catalog().drop(columns=["split", "subject"]), SPACE)


def test_select_names_the_splits_that_have_prompts():
    table = check_catalog(catalog(), SPACE)
    assert list(select(table, "test")["prompt_id"]) == ["test-0"]
    with pytest.raises(PromptError, match=r"split 'validation' is empty.*'train': 1"):
        select(table, "validation")
    with pytest.raises(PromptError, match="family 'sport'"):
        select(table, "test", "sport")


def test_own_catalogs_are_read_from_files(tmp_path):
    catalog().to_csv(tmp_path / "mine.csv", index=False)
    table = check_catalog(read_catalog(tmp_path / "mine.csv"), SPACE)
    assert list(table["prompt"]) == list(catalog()["prompt"])
    with pytest.raises(PromptError, match="no prompt catalog here"):
        read_catalog(tmp_path / "other.csv")
    with pytest.raises(PromptError, match=r"\.csv or \.parquet"):
        read_catalog(tmp_path / "mine.txt")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not a table")
    with pytest.raises(PromptError, match="cannot be read"):
        read_catalog(tmp_path / "broken.parquet")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(PromptError, match="cannot be read"):
        read_catalog(tmp_path / "empty.csv")
