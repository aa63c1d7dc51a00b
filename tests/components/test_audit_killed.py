"""A real kill: the audit's process dies in the middle, and the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fairness_core.evaluation import write_png
from fairness_core.runtime import read_json, read_table
from tests.helpers.servers import running

pytestmark = pytest.mark.integration

PROMPTS, IMAGES, BATCH = 4, 60, 4
READY = 120


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
    def command(out):
        return [
            sys.executable, "-m", "components.audit.main", "--images", str(folder / "set"),
            "--prompts", str(folder / "prompts.csv"), "--out", str(folder / out),
            "--params", str(here / "params.yaml"), "--set", "audit.bootstrap=100",
            "--classifier", str(here / "artifacts/classifiers/audit"),
            "--set", f"audit.batch_size={BATCH}",
        ]  # fmt: skip

    options = {"cwd": repository, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    log = folder / "o.partial" / "batches.jsonl"
    with running(command("o"), **options) as process:
        end = time.monotonic() + READY
        while not (log.is_file() and log.read_text().count("batch") >= 3):
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    kept = log.read_text().count("batch")
    assert 3 <= kept < PROMPTS * IMAGES // BATCH
    assert not (folder / "o").exists()

    again = subprocess.run(command("o"), check=False, text=True, **options)
    assert again.returncode == 0, again.stdout
    assert "going on" in again.stdout
    assert subprocess.run(command("whole"), check=False, **options).returncode == 0
    for name in ("faces.parquet", "prompts.parquet"):
        pd.testing.assert_frame_equal(*(read_table(folder / out / name) for out in ("o", "whole")))
    assert read_json(folder / "o/audit.json") == read_json(folder / "whole/audit.json")
