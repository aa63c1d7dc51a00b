"""Commands over many finished runs: the page of results, and curves."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from components import cli


def test_a_finished_run_of_real_steps_becomes_a_page_and_a_curve(done, tmp_path):
    folder = tmp_path / "runs/portraits-small/seed-0"
    folder.mkdir(parents=True)
    for name in ("artifacts", "params.yaml"):
        (folder / name).symlink_to(done / name)
    (folder / "metrics").mkdir()
    (folder / "metrics/evaluation.json").symlink_to(done / "metrics/evaluation.json")
    costs = {"seconds": 60.0, "network_forwards": 100.0, "network_backwards": 20.0}
    (folder / "metrics/finetune.json").write_text(json.dumps(costs))
    page = tmp_path / "docs/results.md"
    kept = tmp_path / "kept"
    command = ["results", str(tmp_path / "runs"), "--out", str(page), "--keep", str(kept)]
    assert CliRunner().invoke(cli.app, command, catch_exceptions=False).exit_code == 0
    text = page.read_text()
    again = ["results", str(kept), "--out", str(tmp_path / "again.md")]
    assert CliRunner().invoke(cli.app, again, catch_exceptions=False).exit_code == 0
    assert (tmp_path / "again.md").read_text() == text
    assert not (kept / "portraits-small/seed-0/artifacts/finetune").exists()
    assert "| portraits-small | 1 | gender |" in text
    for method in ("intervention", "uce", "debiasvl", "aligned"):
        assert f"| portraits-small | {method} | gender |" in text
    picture = tmp_path / "curve.svg"
    command = ["curves", str(tmp_path / "runs"), "--out", str(picture), "--column", "loss_total"]
    found = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert "portraits-small: loss_total 1.500 at the end, 1 seeds" in found.output
    assert picture.stat().st_size > 0


def test_results_overwrites_no_page_that_was_not_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results.md").write_text("kept")
    found = CliRunner().invoke(cli.app, ["results", "."])
    assert found.exit_code == 2
    assert "--out" in found.stderr
    assert (tmp_path / "docs/results.md").read_text() == "kept"
