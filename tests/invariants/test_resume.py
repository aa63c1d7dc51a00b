from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.tiny_world import TinyWorld, write_params

DRIVER = Path(__file__).with_name("killed_runs.py")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_run_ends_byte_for_byte_where_a_free_one_does(
    tiny_world: TinyWorld,
    finetune_arguments: Callable[[Path, Path], list[str]],
    hashes: Callable[[Path], dict[str, str]],
    repository: Path,
    tmp_path: Path,
) -> None:
    """``kill -9`` in an iteration, right after a checkpoint, and while one is being written."""
    params = write_params(
        tmp_path / "params.yaml",
        repository,
        tiny_world,
        iterations=7,
        images_per_prompt=4,
        checkpoint_every=2,
        train_unet=True,
        lambda_face=0.5,
        faces="all",
    )

    def run(entry: dict[str, Any]) -> dict[str, Any]:
        folder = entry["folder"]
        return {
            "arguments": finetune_arguments(params, folder),
            "folder": str(folder / "checkpoints"),
            "kill": entry["kill"],
        }

    free, killed = tmp_path / "free", tmp_path / "killed"
    kills = (["in an iteration", 4], ["after a checkpoint", 1], ["in a checkpoint", 1], None)
    plan = [{"folder": free, "kill": None}] + [{"folder": killed, "kill": kill} for kill in kills]
    command = [sys.executable, str(DRIVER), json.dumps([run(entry) for entry in plan])]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stderr
    statuses, found = zip(*json.loads(done.stdout), strict=True)
    assert statuses == (0, -9, -9, -9, 0), done.stderr
    assert [[kind(name) for name in names] for names in found] == [
        [],
        ["iteration-2"],
        ["iteration-2", "iteration-4"],
        # What was being written lies under another name.
        [".iteration-6", "iteration-2", "iteration-4"],
        # A finished run leaves no state: the next one starts anew.
        [],
    ]
    lines = [line for line in done.stderr.splitlines() if "Going on after" in line]
    assert [line.split()[-1] for line in lines] == ["2", "4", "4"]
    assert hashes(killed) == hashes(free)
    assert len(set(hashes(free).values())) == 2
    assert json.loads((killed / "metrics.json").read_text())["iterations"] == 7


def kind(name: str) -> str:
    """A checkpoint's name without leading zeros and the run."""
    start, iteration, *_ = name.split("-")
    return f"{start}-{int(iteration)}"
