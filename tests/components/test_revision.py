"""The revision that a report states: the commit, and whether more was changed than a run writes."""

import subprocess

import pytest

from components.report.inputs import revision


def git(*words):
    identity = ("-c", "user.name=evenhand", "-c", "user.email=evenhand@localhost")
    return subprocess.run(
        ["git", *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "--quiet")
    (tmp_path / "metrics").mkdir()
    for name in ("params.yaml", "dvc.lock", "metrics/evaluation.json"):
        (tmp_path / name).write_text("before\n")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    return tmp_path


def test_what_a_run_writes_makes_no_checkout_dirty(checkout):
    for name in ("dvc.lock", "metrics/evaluation.json", "untracked"):
        (checkout / name).write_text("after\n")
    assert revision() == git("rev-parse", "--short=12", "HEAD")


def test_another_change_does(checkout):
    (checkout / "params.yaml").write_text("after\n")
    assert revision() == git("rev-parse", "--short=12", "HEAD") + "-dirty"


def test_no_checkout_has_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() is None
