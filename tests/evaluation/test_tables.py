"""Tables that people write: what is wrong with one is said, and where."""

from __future__ import annotations

import pandas as pd
import pytest

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.evaluation import list_images, read_labels

GENDER = AttributeSpace.from_mapping(
    {"gender": {"classes": ["female", "male"], "target": [0.5, 0.5]}}
)

BROKEN = [b"", b"\xff\xfe\x00binary\x00", b"file,face\na,b\na,b,c,d,e\n", b"file,face\na,b,c\n"]


@pytest.mark.parametrize("content", BROKEN)
def test_files_that_are_no_tables(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"table of images cannot be read .*Given: .*t\.csv"):
        list_images(path, None)
    with pytest.raises(ArtifactError, match=r"labels cannot be read .*Given: .*t\.csv"):
        read_labels(path, GENDER)


def test_rows_with_too_few_cells_have_blank_ones(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("file,face,gender\na.png,no\n")
    assert read_labels(path, GENDER).to_dict("records") == [
        {"file": "a.png", "face": "no", "gender": None}
    ]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
@pytest.mark.parametrize("column", ["prompt_id", "prompt", "file"])
def test_blank_cells_are_counted(tmp_path, ending, column):
    key = "prompt" if column == "prompt" else "prompt_id"
    table = pd.DataFrame({key: ["a", "b"], "file": ["1.png", "2.png"]})
    table.loc[1, column] = None
    path = tmp_path / f"t{ending}"
    table.to_csv(path, index=False) if ending == ".csv" else table.to_parquet(path)
    with pytest.raises(ArtifactError, match=f"1 rows with a blank {column}. Given: .*t{ending}"):
        list_images(path, None)
