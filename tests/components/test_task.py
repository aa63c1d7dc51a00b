"""What the bodies of pipeline tasks share, and the exit handler."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from components.finish.main import main as finish
from components.generate_images.main import main as generate_images
from components.generate_prompts.main import main as generate_prompts
from components.task import checkpoint_folder, log_figures, run_step


def test_options_and_parameters_reach_the_steps_command_line(monkeypatch):
    seen = {}

    def main(argv):
        seen["argv"], seen["values"] = argv, json.loads(Path(argv[2]).read_text())
        return 0

    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "heading")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    run_step(main, '{"run": {"seed": 1}}', prompts="/p", bundle=None, merge=["/a", "/b"])
    assert seen["argv"][:2] == ["--part", "--params"]
    assert seen["argv"][3:] == ["--prompts", "/p", "--merge", "/a", "--merge", "/b"]
    assert seen["values"] == {"run": {"seed": 1, "name": "heading", "tracking": True}}
    monkeypatch.setenv("EVENHAND_TRACKING", "0")
    run_step(main, '{"run": {}}')
    assert seen["values"] == {"run": {"name": "heading", "tracking": False}}


def test_a_step_that_fails_fails_the_task(capsys, tmp_path):
    with pytest.raises(SystemExit, match="1"):
        run_step(generate_prompts, '{"run": {}, "generate_prompts": {"world": 3}}', out=tmp_path)
    assert "generate_prompts.world: text is needed" in capsys.readouterr().err


def test_a_part_is_not_overridden(capsys, tmp_path):
    words = ["--part", "--set", "run.seed=2", "--model", "base", "--out", str(tmp_path / "o")]
    assert generate_images(words) == 1
    assert "With --part nothing is overridden" in capsys.readouterr().err


def test_checkpoints_outlive_a_failure_and_no_success(tmp_path, monkeypatch):
    read = tmp_path / "prompts"
    read.mkdir()
    (read / "manifest.json").write_text("{}")
    monkeypatch.setenv("EVENHAND_CHECKPOINTS", str(tmp_path / "lasting"))

    def attempt(parameters, fail):
        with checkpoint_folder(parameters, str(tmp_path / "out"), str(read)) as folder:
            known = (folder / "state").exists()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "state").write_text("x")
            if fail:
                raise SystemExit(1)
        return folder, known

    with pytest.raises(SystemExit, match="1"):
        attempt("{}", fail=True)
    other, known = attempt('{"a": 1}', fail=False)
    assert not known
    folder, known = attempt("{}", fail=False)
    assert known
    assert folder != other
    assert not folder.exists()
    (read / "manifest.json").write_text("[]")
    assert attempt("{}", fail=False)[0] != folder
    monkeypatch.delenv("EVENHAND_CHECKPOINTS")
    assert attempt("{}", fail=False)[0] == tmp_path / "out.checkpoints"


class Shown:
    def __init__(self, path):
        self.path, self.figures = str(path), {}

    def log_metric(self, name, value):
        self.figures[name] = value


def test_numbers_are_shown_under_dotted_names(tmp_path):
    file = tmp_path / "metrics"
    file.write_text('{"a": {"b": 1, "c": "text"}, "d": true, "e": 0.5, "f": [1]}')
    shown = Shown(file)
    log_figures(shown)
    assert shown.figures == {"a.b": 1.0, "e": 0.5}


def test_the_exit_handler_reports_and_removes_what_is_old(tmp_path, capsys):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        (folder / "state").write_text("x")
    then = time.time() - 8 * 86400
    for path in (old / "state", old):
        os.utime(path, (then, then))
    words = ["--state", "FAILED", "--error", "out of memory", "--checkpoints", str(tmp_path)]
    assert finish(words) == 0
    printed = capsys.readouterr().err
    assert "the pipeline ended as FAILED: out of memory" in printed
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert finish(["--state", "SUCCEEDED", "--checkpoints", str(tmp_path / "none")]) == 0
    assert "the pipeline succeeded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "status"),
    [("SUCCEEDED", "FINISHED"), ("FAILED", "FAILED"), ("CANCELLED", "KILLED")],
)
def test_the_exit_handler_ends_the_mlflow_run(monkeypatch, state, status):
    import fairness_core.runtime as runtime

    ended = []
    monkeypatch.setattr(runtime, "end_pipeline_run", lambda *words: ended.append(words))
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123")
    assert finish(["--state", state]) == 0
    assert ended == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert finish(["--state", state, "--error", "why"]) == 0
    assert ended == [("0123", status, {"evenhand.state": state, "evenhand.error": "why"})]
