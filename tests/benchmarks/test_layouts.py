"""What is compared by the layouts' benchmark differs in one thing, and counts the same calls."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import layouts, measure
from benchmarks.portraits import portraits
from tests.helpers.close import FLOAT32_SUM, assert_close

CONTIGUOUS = "contiguous, not channels-last"


def test_each_variant_is_timed_beside_the_one_that_finetuning_has(
    tmp_path: Path,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    words = ["--images", "2", "--rounds", "1", "--device", "cpu", "--only", CONTIGUOUS]
    words += ["--artifacts", str(tmp_path / "artifacts")]
    monkeypatch.setattr(sys, "argv", ["layouts", *words])
    assert layouts.main() == 0
    rows = json.loads((tmp_path / "layouts.json").read_text())["rows"]
    assert list(rows) == [layouts.AS_IS, CONTIGUOUS]
    for what in layouts.TIMED:
        own, other = (row[what] for row in rows.values())
        assert own["times_faster"] == 1
        assert other["times_faster"] == own["cpu_seconds"] / other["cpu_seconds"]
    assert CONTIGUOUS in capsys.readouterr().out


def test_a_variant_changes_speed_and_not_the_image(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = {}
    for name in (layouts.AS_IS, CONTIGUOUS, "plain attention, not fused"):
        _, models, _, _ = portraits(tmp_path, ["run.device=cpu"])
        change = layouts.VARIANTS[name][1]
        if change is not None:
            change(models.stack)
        first = models.stack.network.conv_in.weight
        assert first.is_contiguous() == (name == CONTIGUOUS)
        with torch.no_grad():
            shown[name] = models.stack.vae.decode(latents).sample
    for image in shown.values():
        assert_close(image, shown[layouts.AS_IS], FLOAT32_SUM)
