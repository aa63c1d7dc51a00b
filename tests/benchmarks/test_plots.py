"""The drawings of docs/performance are of the figures that lie beside them."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import plots


def drawn(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["plots", *words])
    assert plots.main() == 0


def test_every_drawing_is_of_the_figures_there_are(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository / "docs" / "performance"
    drawn(monkeypatch, "--figures", str(folder), "--out", str(tmp_path))
    assert {path.stem for path in tmp_path.iterdir()} == set(plots.PLOTS)
    page = (repository / "docs" / "performance.md").read_text()
    for path in tmp_path.iterdir():
        kept = folder / path.name
        # To the byte: a drawing that is not of the figures beside it would differ.
        assert kept.read_bytes() == path.read_bytes(), f"run python -m benchmarks.plots: {kept}"
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        assert f"](performance/{path.name})" in page


def test_figures_that_are_not_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn(monkeypatch, "--figures", str(tmp_path))
    assert f"there are no figures in {tmp_path / 'step.json'}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
