"""Counters, clocks and labels are those of the device that the work is on."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import measure, step
from benchmarks.measure import MIB, in_turns, machine, peak_bytes


@pytest.fixture
def beside_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU on which nothing runs."""

    def asked(*_: object) -> None:
        raise AssertionError("the GPU was asked")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "a GPU")
    for name in ("synchronize", "reset_peak_memory_stats", "memory_allocated"):
        monkeypatch.setattr(torch.cuda, name, asked)


@pytest.mark.usefixtures("beside_a_gpu")
def test_work_on_the_cpu_has_the_cpus_figures_where_there_is_a_gpu() -> None:
    def work() -> torch.Tensor:
        return torch.zeros(4 * MIB, dtype=torch.uint8) + 1

    assert peak_bytes(work) == pytest.approx(8 * MIB, rel=0.01)
    times = in_turns({"work": work}, 2)["work"]
    assert times["seconds"] > 0
    assert machine()["device"] != "a GPU"
    assert machine(torch.device("cuda"))["device"] == "a GPU"


@pytest.mark.slow
@pytest.mark.usefixtures("beside_a_gpu")
def test_the_step_is_measured_on_the_cpu_where_there_is_a_gpu(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    words = ["--device", "cpu", "--images", "2", "--steps", "2", "--chosen", "1", "--rounds", "1"]
    words += ["--artifacts", str(tmp_path / "artifacts")]
    monkeypatch.setattr(sys, "argv", ["step", *words])
    assert step.main() == 0
    # Strictly JSON: no NaN in it.
    text = (tmp_path / "step.json").read_text()
    found = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert found["machine"]["device"] != "a GPU"
    rows = found["rows"]
    assert rows["reference"]["peak_mib"] > 1
    assert rows["K = 1"]["peak_mib"] > 1
    assert rows["all steps"]["times_faster"] > 0
    assert "times_faster" not in rows["reference, no checkpointing"]


def test_the_command_can_be_given_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    given = ["-m", "benchmarks.some", "runs/steps=[5, 7]", "--label", "6 steps"]
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python", *given])
    found = json.loads(measure.save("figures", {"seconds": 1.5}).read_text())
    assert shlex.split(found["command"]) == ["python", *given]
    assert (found["name"], found["seconds"]) == ("figures", 1.5)
    with pytest.raises(ValueError, match="nan"):
        measure.save("figures", {"seconds": float("nan")})
