from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairness_core.errors import ArtifactError
from fairness_core.runtime import check_output, check_work, write_manifest


def ours(folder: Path, kind: str = "audit") -> Path:
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "figures").write_text("1")
    write_manifest(folder, kind)
    return folder


def refused(out: Path, reads=()) -> str:
    with pytest.raises(ArtifactError) as caught:
        check_output(out, "audit", reads)
    return str(caught.value)


def test_new_empty_and_own_folders_may_be_written(tmp_path):
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "a" / "new", tmp_path / "empty", ours(tmp_path / "own")):
        check_output(out, "audit", [tmp_path / "read", None])
    (tmp_path / "own" / "inner" / "figures").unlink()
    (tmp_path / "own" / "inner" / ".DS_Store").write_text("")
    check_output(tmp_path / "own", ("image-shard", "audit"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "own"]


def test_a_folder_of_anothers_files_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    said = refused(tmp_path)
    assert "no step wrote it: it holds files and no manifest.json, and would be lost" in said
    assert f"Given: {tmp_path}." in said
    assert "where a file is" in refused(tmp_path / "thesis.txt")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_a_folder_of_another_step_or_with_strays_is_refused(tmp_path):
    assert "of kind 'prompts', not 'audit'" in refused(ours(tmp_path / "prompts", "prompts"))
    own = ours(tmp_path / "own")
    (own / "inner" / "thesis.txt").write_text("years of work")
    assert f"{own}: inner/thesis.txt. What to do: move them" in refused(own)
    (own / "manifest.json").write_text("[]")
    assert "of kind unknown" in refused(own)


def test_what_is_read_is_neither_replaced_nor_written_into(tmp_path):
    images, list_ = tmp_path / "images", tmp_path / "deep" / "list.csv"
    for folder in (images, list_.parent):
        folder.mkdir()
    list_.write_text("")
    (tmp_path / "link").symlink_to(images)
    for out in (images, images / "p1", tmp_path / "link", images / "new" / "out", list_.parent):
        assert "write its folder where it reads" in refused(out, [images, list_])
    check_output(list_.parent.with_name("beside"), "audit", [images, list_])


def test_the_working_directory_is_refused(tmp_path, monkeypatch):
    (tmp_path / "w").mkdir()
    monkeypatch.chdir(tmp_path / "w")
    for out in (".", "..", tmp_path, "/"):
        assert "cannot be the working directory" in refused(Path(out))


def test_a_place_that_cannot_be_written_is_found_first(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("/proc/x/y", tmp_path / "file" / "out"):
        with pytest.raises(OSError, match=r"/proc|file"):
            check_output(Path(place), "audit")


def test_unfinished_work_of_others_is_refused(tmp_path):
    work = tmp_path / "out.partial"
    check_work(work)
    work.mkdir()
    (work / ".recipe.json.0123abcd.tmp").write_text("{")
    check_work(work)
    (work / "thesis.txt").write_text("")
    with pytest.raises(ArtifactError, match=r"something else. Given: .*partial: thesis\.txt"):
        check_work(work)
    (work / "recipe.json").write_text("{}")
    check_work(work)
    assert os.listdir(work)
