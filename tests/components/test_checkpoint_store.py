"""Checkpoints in an object store, here a folder that is reached by its address."""

from __future__ import annotations

import shutil
import time

import pytest

from components.checkpoint_store import CheckpointStore, mirrored
from components.task import checkpoint_folder
from fairness_core.errors import ArtifactError


def write(folder, number, text="x"):
    place = folder / f"iteration-{number:08d}-abc"
    place.mkdir(parents=True)
    (place / "weights.safetensors").write_text(text)


def names(folder):
    return sorted(path.name for path in folder.glob("iteration-*"))


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(f"file://{tmp_path}/store/run")


def test_a_later_pod_finds_what_an_earlier_one_wrote(store, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    write(one, 5)
    write(one, 10, "newest")
    assert len(store.push(one)) == 2
    assert store.push(one) == []
    assert store.fetch(two) == 2
    assert names(two) == names(one)
    assert [p.name for p in sorted(two.glob("*00010*/*"))] == ["weights.safetensors"]
    assert (two / "iteration-00000010-abc" / "weights.safetensors").read_text() == "newest"


def test_only_the_newest_are_kept(store, tmp_path):
    for number in (5, 10, 15):
        write(tmp_path / "one", number)
        store.push(tmp_path / "one")
    store.fetch(tmp_path / "two")
    assert names(tmp_path / "two") == ["iteration-00000010-abc", "iteration-00000015-abc"]


def test_a_copy_that_was_broken_off_is_no_checkpoint(store, tmp_path):
    write(tmp_path / "one", 5)
    store.push(tmp_path / "one")
    write(tmp_path / "store" / "run", 10, "hal")
    assert store.fetch(tmp_path / "two") == 1
    assert names(tmp_path / "two") == ["iteration-00000005-abc"]


def test_they_are_copied_while_training_runs_and_go_when_it_is_done(tmp_path, capsys):
    uri, folder, there = f"file://{tmp_path}/store", tmp_path / "local", tmp_path / "store"
    with mirrored(uri, folder, every=0.01):
        write(folder, 5)
        wait_for(lambda: (there / "iteration-00000005-abc" / "whole").exists())
    assert list(there.iterdir()) == []
    assert "iteration-00000005-abc is in file://" in capsys.readouterr().err


def test_what_was_not_copied_yet_is_copied_when_training_fails(tmp_path):
    uri, folder = f"file://{tmp_path}/store", tmp_path / "local"

    def train():
        with mirrored(uri, folder, every=60):
            write(folder, 5)
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        train()
    assert names(tmp_path / "store") == ["iteration-00000005-abc"]


def test_a_store_that_is_away_is_a_warning_while_training_runs(tmp_path, capsys):
    away = tmp_path / "store"
    with mirrored(f"file://{away}", tmp_path / "local", every=0.01):
        away.write_text("no folder any more")
        write(tmp_path / "local", 5)
        said = []
        wait_for(lambda: said.append(capsys.readouterr().err) or "warning: Cannot" in said[-1])
    with pytest.raises(ArtifactError, match=r"Cannot open the checkpoints' store.*bucket"):
        CheckpointStore("nothing-of-the-kind://bucket")


def test_a_task_goes_on_from_the_store(tmp_path, monkeypatch):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "manifest.json").write_text("{}")
    monkeypatch.setenv("EVENHAND_CHECKPOINTS", f"file://{tmp_path}/store/")

    def attempt(parameters, fail):
        with checkpoint_folder(
            parameters, str(tmp_path / "out"), str(tmp_path / "prompts")
        ) as folder:
            known = names(folder)
            if fail:
                write(folder, 5)
                raise SystemExit(1)
            return known

    with pytest.raises(SystemExit):
        attempt("{}", fail=True)
    # The node is gone, and its disk with it.
    shutil.rmtree(tmp_path / "out.checkpoints")
    assert attempt('{"other": 1}', fail=False) == []
    assert attempt("{}", fail=False) == ["iteration-00000005-abc"]
    assert attempt("{}", fail=False) == []
