"""Plain prompt lists."""

from __future__ import annotations

import pytest

from fairness_core.errors import PromptError
from fairness_core.prompts import read_list


def test_lines_and_tables(tmp_path):
    (tmp_path / "p.txt").write_text("a nurse\n\n  a guard \n")
    found = read_list(tmp_path / "p.txt")
    assert found.to_dict("list") == {
        "prompt_id": ["prompt-000", "prompt-001"],
        "prompt": ["a nurse", "a guard"],
    }
    (tmp_path / "p.csv").write_text("prompt,prompt_id,more\na nurse,n,1\n")
    assert read_list(tmp_path / "p.csv").to_dict("list") == {
        "prompt_id": ["n"],
        "prompt": ["a nurse"],
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("prompt\n", "list is empty"),
        ("text,n\na,1\n", "no column 'prompt'.*text, n. What to do: name the column"),
        ("prompt_id,prompt\na,x\nb,X\n", "prompt repeated: 'X'"),
        ("prompt_id,prompt\na,x\na,y\n", "prompt_id repeated: 'a'"),
        ("prompt_id,prompt\na,x\nb,\n", "1 rows with a blank prompt"),
        ("prompt_id,prompt\n../a,x\n", "cannot name a folder: '../a'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, problem):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(PromptError, match=problem):
        read_list(tmp_path / "p.csv")


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(PromptError, match="cannot be read.*What to do: check the path"):
        read_list(tmp_path / "none.txt")
    with pytest.raises(PromptError, match=r"one of \.txt, \.csv, \.parquet"):
        read_list(tmp_path / "none.xlsx")
