"""One command for the table of bias against compute, its experiments replaced by made-up ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from benchmarks import bias_against_compute, measure
from benchmarks.bias_rows import ROWS, experiments_of
from components.experiments import Experiment
from fairness_core.config import load_preset
from fairness_core.errors import ConfigError
from fairness_core.runtime.artifacts import write_json, write_table

PROMPTS = ("nurse", "judge", "smith")
Runs = list[tuple[str, int]]


@pytest.fixture
def runs() -> Runs:
    return []


@pytest.fixture
def runner(runs: Runs) -> Callable[..., Path]:
    """In place of a run what one leaves behind; its bias is the seed's and its name's length."""

    def run(experiment: Experiment, seed: int, out: Path, *, params: Path, **told: Any) -> Path:
        assert told["until"] == "evaluate_bias"
        assert next(stage.name for stage in told["stages"]) == "generate_prompts"
        runs.append((experiment.name, seed))
        overrides = [*experiment.overrides, f"run.seed={seed}"]
        values = load_preset(params, experiment.preset, overrides).model_dump(mode="json")
        folder = out / experiment.name / f"seed-{seed}"
        for place in ("metrics", "artifacts/evaluation", "artifacts/prompts"):
            (folder / place).mkdir(parents=True)
        (folder / "params.yaml").write_text(yaml.safe_dump(values))
        bias = 0.1 * seed + 0.001 * len(experiment.name)
        measured = {"aligned": {"gender": {"bias": bias, "fair_floor": 0.05}}}
        write_json(measured, folder / "metrics" / "evaluation.json")
        iterations = {"iterations": values["finetune"]["iterations"]}
        write_json(iterations, folder / "metrics" / "finetune.json")
        catalog = pd.DataFrame({"prompt_id": PROMPTS, "split": "test", "family": "occupation"})
        write_table(catalog, folder / "artifacts" / "prompts" / "prompts.parquet")
        rows = pd.DataFrame({"prompt_id": PROMPTS, "attribute": "gender", "bias": bias})
        rows["model"] = "aligned"
        write_table(rows, folder / "artifacts" / "evaluation" / "prompts.parquet")
        return folder

    return run


def tabulate(
    monkeypatch: pytest.MonkeyPatch, out: Path, runner: Callable[..., Path], *words: str
) -> dict[str, Any]:
    monkeypatch.setattr(measure, "RESULTS", out)
    monkeypatch.setattr(sys, "argv", ["bias_against_compute", *words])
    assert bias_against_compute.main(runner) == 0
    assert (out / "bias_against_compute.svg").is_file()
    found: dict[str, Any] = json.loads((out / "bias_against_compute.json").read_text())["rows"]
    return found


@pytest.mark.slow
def test_one_command_runs_every_row_and_seed_and_tabulates(
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    runs: Runs,
    runner: Callable[..., Path],
) -> None:
    monkeypatch.chdir(repository)
    rows = tabulate(monkeypatch, tmp_path, runner, "--run", str(tmp_path / "runs"))
    assert list(rows) == [row.name for row in ROWS]
    assert len(set(runs)) == len(runs) == 3 * len(ROWS)
    # A seed of every row before the next seed, so that rows can be compared early.
    assert [seed for _, seed in runs] == [s for s in (0, 1, 2) for _ in ROWS]
    assert {row["iterations"] for name, row in rows.items() if name != "16 images"} == {120}
    # Network calls of an image and iteration, originals stored, and of all, in thousands.
    calls = {
        name: (row["forwards_per_image"], row["backwards_per_image"], row["calls"] / 1000)
        for name, row in rows.items()
    }
    assert calls == {
        "10 steps": (24, 4, pytest.approx(107.52)),
        "6 steps": (16, 4, pytest.approx(76.8)),
        "text branch alone": (22, 2, pytest.approx(92.16)),
        "16 images": (24, 4, pytest.approx(107.52)),
        "bfloat16": (24, 4, pytest.approx(107.52)),
        "K = 4": (28, 8, pytest.approx(138.24)),
        "K = 8": (36, 16, pytest.approx(199.68)),
        "published gradient": (40, 20, pytest.approx(230.4)),
    }
    assert rows["10 steps"]["less_the_first"] == [0, 0, 0]
    longer = len("gradient_weights=reference") - len("iterations=120")
    difference = rows["published gradient"]["less_the_first"]
    assert difference == pytest.approx([0.001 * longer] * 3)
    # Some of them, and other seeds: what is not asked for is not in the table.
    found = ("--run", str(tmp_path / "others"), "--only", "K = 4", "--seeds", "1")
    rows = tabulate(monkeypatch, tmp_path, runner, *found)
    assert list(rows) == ["10 steps", "K = 4"]
    assert rows["K = 4"]["biases"] == {"1": pytest.approx(0.1 + 0.001 * 33)}


def test_every_row_is_an_experiment_of_its_own(repository: Path) -> None:
    found = experiments_of(ROWS, repository / "presets", ["run.threads=1"])
    names = [experiment.name for experiment in found.values()]
    assert len(set(names)) == len(names)
    assert names[0] == "portraits-gender+iterations=120"
    told = {
        name: load_preset(repository / "params.yaml", experiment.preset, experiment.overrides)
        for name, experiment in found.items()
    }
    for params in told.values():
        section = params.finetune
        assert (section.originals, section.lambda_image) == ("stored", 1)
        assert (section.noise_sets, section.learning_rate_decay) == (None, 0)
        assert section.gradient_choice == "stratified"
        assert params.section("generate_prompts")["test_images"] == 60
        assert params.run.threads == 1
        # As many images in all.
        assert section.iterations * section.images_per_prompt == 120 * 32
    sections = [params.finetune for params in told.values()]
    assert len({section.model_dump_json() for section in sections}) == len(ROWS)
    with pytest.raises(ConfigError, match="no such row.*K = 5"):
        bias_against_compute.chosen(["K = 5"])


def test_folders_or_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in ([], ["runs/A", "--run", "runs"]):
        monkeypatch.setattr(sys, "argv", ["bias_against_compute", *words])
        with pytest.raises(SystemExit):
            bias_against_compute.main()
