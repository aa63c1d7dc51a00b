"""A real kill: the audit's process dies in the middle, and the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from fairness_core.evaluation import write_png
from fairness_core.runtime import read_json, read_table

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

PROMPTS, IMAGES, BATCH = 4, 20, 4
NOTED = 3
# Its fourth batch is measured and written, but not yet noted.
DYING = f"""
import os, signal, sys
from components.audit.main import main
from fairness_core.evaluation import folder

note = folder.note_batch

def dying(work, batch, seconds):
    if batch == {NOTED}:
        os.kill(os.getpid(), signal.SIGKILL)
    note(work, batch, seconds)

folder.note_batch = dying
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for p in range(PROMPTS):
        for i in range(IMAGES):
            pixels = draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)
            write_png(pixels, tmp_path / "set" / f"p{p}" / f"{i:03d}.png")
    table = pd.DataFrame({"prompt_id": [f"p{p}" for p in range(PROMPTS)]})
    table.assign(prompt=[f"prompt {p}" for p in range(PROMPTS)]).to_csv(
        tmp_path / "prompts.csv", index=False
    )
    return tmp_path


def test_kill_9_loses_at_most_the_batch_under_way(here, folder, repository):
    words = [
        "--images", str(folder / "set"), "--prompts", str(folder / "prompts.csv"),
        "--params", str(here / "params.yaml"), "--set", "audit.bootstrap=100",
        "--classifier", str(here / "artifacts/classifiers/audit"),
        "--set", f"audit.batch_size={BATCH}", "--out",
    ]  # fmt: skip

    def run(out, *program):
        command = [sys.executable, *program, *words, str(folder / out)]
        return subprocess.run(command, check=False, text=True, capture_output=True, cwd=repository)

    killed = run("o", "-c", DYING)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (folder / "o.partial" / "batches.jsonl").read_text().count("batch") == NOTED
    assert not (folder / "o").exists()

    module = ("-m", "components.audit.main")
    again = run("o", *module)
    assert again.returncode == 0, again.stderr
    assert f"{NOTED} of {PROMPTS * IMAGES // BATCH} batches were already measured" in again.stderr
    assert run("whole", *module).returncode == 0
    for name in ("faces.parquet", "prompts.parquet"):
        pd.testing.assert_frame_equal(*(read_table(folder / out / name) for out in ("o", "whole")))
    assert read_json(folder / "o/audit.json") == read_json(folder / "whole/audit.json")
