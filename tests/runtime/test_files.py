from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairness_core.errors import ArtifactError
from fairness_core.runtime import files
from fairness_core.runtime.files import (
    atomic_file,
    atomic_folder,
    read_json,
    read_table,
    recover,
    write_json,
    write_table,
)

PARTS = ["1", "2", "manifest.json"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["exchange", "two renames"])
def swapping(request, monkeypatch):
    """Both ways of putting a folder into place."""
    if request.param == "two renames":
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    return request.param


def test_a_folder_is_replaced_as_a_whole(tmp_path, swapping):
    path = tmp_path / "deep" / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "manifest.json").write_text("1")
        assert not path.exists()
    with atomic_folder(path) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("2")
        assert names(path) == ["manifest.json"]
    assert names(path) == ["sub"]
    assert (path / "sub" / "new").read_text() == "2"
    assert names(path.parent) == ["folder"]


def test_a_failing_block_changes_nothing(tmp_path, swapping):
    path = tmp_path / "folder"
    with atomic_folder(path) as temporary:
        (temporary / "manifest.json").write_text("1")
    with pytest.raises(FileExistsError, match="exists"), atomic_folder(path) as temporary:
        (temporary / "new").mkdir() or (temporary / "new").mkdir()
    assert names(path) == ["manifest.json"]
    assert names(tmp_path) == ["folder"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ArtifactError, match="where a file is. Given: .*taken"):
        atomic_folder(tmp_path / "taken").__enter__()


def test_a_folder_that_no_step_wrote_is_not_replaced(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match=r"no step wrote it.* Given: .*taken"):
        atomic_folder(tmp_path / "taken").__enter__()
    assert names(tmp_path) == ["taken"]
    assert names(tmp_path / "taken") == ["thesis.txt"]


def _write_for_ever(path: Path, started) -> None:
    for turn in range(1_000_000):
        with atomic_folder(path) as temporary:
            for part in PARTS:
                (temporary / part).write_text(str(turn))
        started.set()


@pytest.mark.parametrize("kill", range(6))
def test_a_writer_killed_at_any_moment_leaves_old_or_new(tmp_path, swapping, kill):
    path = tmp_path / "folder"
    fork = multiprocessing.get_context("fork")
    started = fork.Event()
    writer = fork.Process(target=_write_for_ever, args=(path, started))
    writer.start()
    assert started.wait(30)
    time.sleep(0.0037 * kill)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    if swapping == "exchange":
        assert path.is_dir()
    recover(path)
    assert names(tmp_path) == ["folder"]
    assert names(path) == PARTS
    assert len({(path / name).read_text() for name in names(path)}) == 1


def test_the_old_folder_comes_back_between_two_renames(tmp_path):
    (tmp_path / ".folder.previous").mkdir()
    (tmp_path / ".folder.previous" / "old").write_text("1")
    (tmp_path / ".folder.0123abcd.tmp").mkdir()
    (tmp_path / ".folder.0123abce.tmp").write_text("a file's")
    recover(tmp_path / "folder")
    assert names(tmp_path) == ["folder"]
    assert names(tmp_path / "folder") == ["old"]


def test_what_others_left_beside_it_stays(tmp_path):
    (tmp_path / ".folder2.0123abcd.tmp").mkdir()
    (tmp_path / "folder.previous").mkdir()
    with atomic_folder(tmp_path / "folder"):
        pass
    assert names(tmp_path) == [".folder2.0123abcd.tmp", "folder", "folder.previous"]


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError, match="ascii"), atomic_file(path) as temporary:
        temporary.write_text("half é", encoding="ascii")
    assert path.read_text() == "old"
    with atomic_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_json_keeps_order_and_plain_numbers(tmp_path):
    path = tmp_path / "values.json"
    write_json({"z": np.float32(0.5), "a": np.arange(2), "p": Path("a/b"), "é": None}, path)
    assert path.read_text().endswith("}\n")
    values = read_json(path)
    assert list(values.items()) == [("z", 0.5), ("a", [0, 1]), ("p", "a/b"), ("é", None)]


@pytest.mark.parametrize("value", [float("nan"), np.float64("inf"), {1, 2}])
def test_what_has_no_json_form_is_refused(tmp_path, value):
    with pytest.raises(ArtifactError, match=r"Cannot write .*values\.json as JSON"):
        write_json({"value": value}, tmp_path / "values.json")
    assert names(tmp_path) == []


def test_damaged_and_missing_json_are_named(tmp_path):
    (tmp_path / "half.json").write_text('{"a": ')
    with pytest.raises(ArtifactError, match=r"JSON file is damaged: .*half\.json"):
        read_json(tmp_path / "half.json")
    with pytest.raises(ArtifactError, match="does not exist.*run the step that writes it"):
        read_json(tmp_path / "none.json")


def test_tables_come_back_as_they_went(tmp_path):
    path = tmp_path / "faces.parquet"
    frame = pd.DataFrame({"id": ["a", "b"], "n": [1, 2], "named": [None, "x"], "p": [0.5, np.nan]})
    write_table(frame, path)
    pd.testing.assert_frame_equal(read_table(path), frame)
    assert list(read_table(path, columns=["p", "id"]).columns) == ["p", "id"]


def test_missing_columns_and_damaged_tables_are_named(tmp_path):
    path = tmp_path / "faces.parquet"
    write_table(pd.DataFrame({"id": [1]}), path)
    with pytest.raises(ArtifactError, match="lacks gender, race; it has id"):
        read_table(path, columns=["id", "gender", "race"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"table is damaged: .*faces\.parquet"):
        read_table(path)
    with pytest.raises(ArtifactError, match="does not exist"):
        read_table(tmp_path / "none.parquet")
