"""The driver of experiments: order, sharing, going on, and what it says when a stage fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from typer.testing import CliRunner

from components import cli
from components.experiments import Experiment, experiments, run_experiment
from components.stages import read_stages
from fairness_core.config import Preset
from fairness_core.errors import ArtifactError, ConfigError

# Two stages whose program counts its runs: the first reads the seed, the second a value.
PROGRAM = """
import json, os, pathlib, sys, time
import yaml
name, params, *paths = sys.argv[1:]
values = yaml.safe_load(open(params))
with open(pathlib.Path(__file__).parent / "calls.txt", "a") as stream:
    stream.write(name + "\\n")
if (pathlib.Path(__file__).parent / "slow").exists():
    time.sleep(0.5)
if (pathlib.Path(__file__).parent / "stuck").exists():
    (pathlib.Path(__file__).parent / "pid").write_text(str(os.getpid()))
    time.sleep(600)
if values["finetune"]["rank"] == 13 and name == "second":
    sys.exit("thirteen is unlucky")
missed = values["finetune"]["rank"] == 14 and name == "second"
out = pathlib.Path(paths[-1])
out.mkdir(parents=True, exist_ok=True)
(out / "value.json").write_text(
    json.dumps([values["run"]["seed"], values["finetune"]["iterations"]])
)
(out / "plan.json").write_text(json.dumps(values["generate_prompts"]["test_images"]))
sys.exit(3 if missed else 0)
"""
PIPELINE = {
    "stages": {
        "first": {
            "cmd": "python PROGRAM first params.yaml artifacts/first",
            "deps": ["code.py"],
            "params": ["run.seed", "generate_prompts"],
            "outs": ["artifacts/first"],
        },
        "second": {
            "foreach": {"a": {"weights": "artifacts/first/value.json"}},
            "do": {
                "cmd": "python PROGRAM second params.yaml artifacts/second/${key}",
                "deps": ["${item.weights}"],
                "params": ["finetune"],
                "outs": ["artifacts/second/${key}"],
            },
        },
    }
}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    text = yaml.safe_dump(PIPELINE).replace("PROGRAM", str(tmp_path / "program.py"))
    (tmp_path / "dvc.yaml").write_text(text)
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/short.yaml").write_text("# Short.\nfinetune: {iterations: 40}\n")
    (tmp_path / "presets/long.yaml").write_text("# Long.\nfinetune: {iterations: 60}\n")
    return tmp_path


def calls(place):
    path = place / "calls.txt"
    return path.read_text().split() if path.exists() else []


def go(place, repository, *, seed=0, name="short", more=(), label="", **options):
    (experiment,) = experiments([name], place / "presets", overrides=more, label=label)
    return run_experiment(
        experiment,
        seed,
        place / "out",
        params=repository / "params.yaml",
        stages=read_stages(place / "dvc.yaml"),
        **options,
    )


def command_line(place, repository, *more):
    """Words of ``evenhand experiments`` on the program's stages."""
    words = ["experiments", "--out", str(place / "out")]
    words += ["--params", str(repository / "params.yaml")]
    words += ["--folder", str(place / "presets"), "--pipeline", str(place / "dvc.yaml")]
    return [*words, *more]


def test_equal_stages_are_made_once_and_finished_runs_are_skipped(place, repository):
    folder = go(place, repository)
    assert folder == place / "out/short/seed-0"
    assert calls(place) == ["first", "second"]
    assert json.loads((folder / "artifacts/second/a/value.json").read_text()) == [0, 40]
    go(place, repository)
    assert calls(place) == ["first", "second"]
    # Another preset of the same seed needs the second stage only; another seed needs both.
    other = go(place, repository, name="long")
    assert calls(place) == ["first", "second", "second"]
    shared = (folder / "artifacts/first").resolve()
    assert (other / "artifacts/first").resolve() == shared
    go(place, repository, seed=1)
    assert calls(place)[3:] == ["first", "second"]
    run = json.loads((other / "run.json").read_text())
    assert (run["experiment"], run["seed"]) == ("long", 0)
    assert set(run["seconds"]) == {"first", "second@a"}


def test_what_reads_files_that_stayed_the_same_is_not_made_again(place, repository):
    go(place, repository)
    folder = go(place, repository, more=["generate_prompts.test_images=7"])
    assert calls(place) == ["first", "second", "first"]
    assert (folder / "artifacts/first/plan.json").read_text() == "7"


def test_a_run_with_other_parameters_needs_a_name_of_its_own(place, repository):
    folder = go(place, repository)
    before = (folder / "params.yaml").read_text()
    with pytest.raises(
        ConfigError, match=r"short/seed-0: finetune.iterations is 40 there and 41 here.*--name"
    ):
        go(place, repository, more=["finetune.iterations=41"])
    assert (folder / "params.yaml").read_text() == before
    assert json.loads((folder / "artifacts/second/a/value.json").read_text()) == [0, 40]
    other = go(place, repository, more=["finetune.iterations=41"], label="longer")
    assert other == place / "out/short+longer/seed-0"
    assert json.loads((other / "artifacts/second/a/value.json").read_text()) == [0, 41]
    # What both have in common is made once, and neither is made again.
    go(place, repository)
    go(place, repository, more=["finetune.iterations=41"], label="longer")
    assert calls(place) == ["first", "second", "second"]
    # Other attributes are another run too, a key that params.yaml did not have yet is not.
    values = yaml.safe_load(before)
    del values["finetune"]["rank"]
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    go(place, repository)
    with pytest.raises(ConfigError, match="attributes are .* there"):
        go(place, repository, more=["attributes.age.target=[0.5, 0.5]"])


def test_a_run_under_way_keeps_its_folder(place, repository):
    """Its later stages read the parameters that lie there."""
    (place / "slow").touch()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(go, place, repository)
        while not calls(place):
            time.sleep(0.01)
        with pytest.raises(ConfigError, match="iterations is 40 there and 41 here"):
            go(place, repository, more=["finetune.iterations=41"])
        assert first.result() == go(place, repository)
    assert calls(place) == ["first", "second"]


def test_a_failed_stage_shows_its_log_and_a_later_start_goes_on(place, repository):
    with pytest.raises(ArtifactError, match="Stage second@a of short, seed 0.*\n.*unlucky"):
        go(place, repository, more=["finetune.rank=13"])
    assert calls(place) == ["first", "second"]
    go(place, repository)
    assert calls(place) == ["first", "second", "second"]


def test_a_gate_that_is_not_met_is_a_result(place, repository):
    folder = go(place, repository, more=["finetune.rank=14"])
    assert (folder / "artifacts/second/a/value.json").is_file()
    assert calls(place) == ["first", "second"]
    go(place, repository, more=["finetune.rank=14"])
    assert calls(place) == ["first", "second"]


def test_a_changed_file_of_the_command_is_another_key(place, repository):
    go(place, repository)
    with (place / "program.py").open("a") as stream:
        stream.write("# changed\n")
    go(place, repository)
    assert calls(place) == ["first", "second"] * 2


def test_a_changed_file_that_parameters_name_is_another_key(place, repository, monkeypatch):
    """A catalog or a table of targets, wherever in the values; of the stages that read them."""
    monkeypatch.chdir(place)
    (place / "catalog.csv").write_text("prompt,split\n")
    more = ["generate_prompts.world=catalog.csv"]
    go(place, repository, more=more)
    go(place, repository, more=more)
    assert calls(place) == ["first", "second"]
    (place / "catalog.csv").write_text("prompt,split\na nurse,test\n")
    go(place, repository, more=more)
    assert calls(place) == ["first", "second", "first"]


def test_a_run_stops_after_the_stage_named(place, repository):
    folder = go(place, repository, until="first")
    assert calls(place) == ["first"]
    assert not (folder / "artifacts/second").exists()
    with pytest.raises(ConfigError, match="no such stage.*third"):
        go(place, repository, until="third")


def test_each_value_that_is_varied_is_an_experiment(place):
    found = experiments(
        ["short"],
        place / "presets",
        overrides=["finetune.rank=4"],
        vary=["finetune.gradient_weights=[exact, reference]", "finetune.gradient_steps=[2, null]"],
    )
    preset = Preset("short", "Short.", {"finetune": {"iterations": 40}})
    assert found == [
        Experiment(
            "short+gradient_weights=exact",
            preset,
            ("finetune.rank=4", 'finetune.gradient_weights="exact"'),
        ),
        Experiment(
            "short+gradient_weights=reference",
            preset,
            ("finetune.rank=4", 'finetune.gradient_weights="reference"'),
        ),
        Experiment(
            "short+gradient_steps=2", preset, ("finetune.rank=4", "finetune.gradient_steps=2")
        ),
        Experiment(
            "short+gradient_steps=null",
            preset,
            ("finetune.rank=4", "finetune.gradient_steps=null"),
        ),
    ]


def test_bad_input_is_named(place, repository, tmp_path):
    with pytest.raises(ConfigError, match="no such preset.*nothing"):
        experiments(["nothing"], place / "presets")
    (place / "presets/list.yaml").write_text("- finetune\n")
    with pytest.raises(ConfigError, match="top level is a mapping"):
        experiments([str(place / "presets/list.yaml")], place / "presets")
    (place / "presets/list.yaml").unlink()
    with pytest.raises(ConfigError, match="needs a list of values.*rank=4"):
        experiments(["short"], place / "presets", vary=["finetune.rank=4"])
    with pytest.raises(ConfigError, match=r"value is not YAML.*rank=\[1.*What to do"):
        experiments(["short"], place / "presets", vary=["finetune.rank=[1"])
    with pytest.raises(ConfigError, match="form section.key=value"):
        experiments(["short"], place / "presets", vary=["rank"])
    with pytest.raises(ConfigError, match="part of a folder's name. Given: a/b"):
        experiments(["short"], place / "presets", label="a/b")
    with pytest.raises(ConfigError, match="pipeline file cannot be read"):
        read_stages(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="one problem"):
        go(place, repository, more=["finetune.rank=0"])


def test_the_command_line_runs_every_preset_with_every_seed(place, repository):
    given = ("--presets", "short,long", "--seeds", "0,3", "--set", "run.tracking=false")
    command = command_line(place, repository, *given)
    result = CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.count("Finished: ") == 4
    params = yaml.safe_load((place / "out/long/seed-3/params.yaml").read_text())
    assert (params["run"]["seed"], params["run"]["tracking"]) == (3, False)
    assert params["finetune"]["iterations"] == 60
    assert calls(place) == ["first", "second", "first", "second", "second", "second"]
    with pytest.raises(ConfigError, match="whole numbers"):
        CliRunner().invoke(cli.app, [*command, "--seeds", "a,b"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ("--vary", "finetune.gradient_weights=[exact, full]"),
            "must be null for gradient_weights full",
        ),
        (
            ("--vary", "models.base=['portraits:base', 'portraits:bsae']"),
            "portraits:bsae: no model",
        ),
        (("--until", "third"), "no such stage. Given: third"),
    ],
)
def test_what_a_later_run_would_be_refused_for_is_said_before_the_first(
    place, repository, more, said
):
    command = command_line(place, repository, "--presets", "short,long", *more)
    with pytest.raises(ConfigError, match=said):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert calls(place) == []


def test_what_is_not_here_is_named_before_the_first_stage(place, repository):
    text = yaml.safe_dump(PIPELINE).replace("PROGRAM", str(place / "program.py"))
    (place / "dvc.yaml").write_text(text.replace("second:", "generate_images:"))
    given = ("--presets", "short,long", "--set", "models.base=nowhere")
    command = command_line(place, repository, *given)
    with pytest.raises(ConfigError, match=r"not here. Given: models.base: nowhere\. "):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert calls(place) == []
    # Only what stages open that are asked for and have no results yet.
    assert CliRunner().invoke(cli.app, [*command, "--until", "first"]).exit_code == 0
    assert calls(place) == ["first"]
    for name in ("short", "long"):
        (place / f"out/{name}/seed-0/artifacts/second/a").mkdir(parents=True)
    assert CliRunner().invoke(cli.app, command, catch_exceptions=False).exit_code == 0


def test_after_a_failure_nothing_more_starts(place, repository):
    (place / "slow").touch()
    given = ("--presets", "short", "--seeds", "0,1,2,3", "--jobs", "2")
    command = command_line(place, repository, *given, "--set", "finetune.rank=13")
    with pytest.raises(ArtifactError, match="unlucky"):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
    assert sorted(path.name for path in (place / "out/short").iterdir()) == ["seed-0", "seed-1"]
    whole = [word.replace("rank=13", "rank=12") for word in command]
    result = CliRunner().invoke(cli.app, whole, catch_exceptions=False)
    said = [line for line in result.output.splitlines() if line.startswith("Finished: ")]
    assert [line[-1] for line in said] == ["0", "1", "2", "3"]


def test_a_stage_ends_with_the_program_that_runs_it(place, repository):
    (place / "stuck").touch()
    command = command_line(place, repository, "--presets", "short")
    program = subprocess.Popen([sys.executable, "-m", "components.cli", *command], cwd=repository)
    try:
        until = time.monotonic() + 60
        while not (place / "pid").exists() or not (place / "pid").read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        program.terminate()
        assert program.wait(60) == ArtifactError.status
    finally:
        program.kill()
    with pytest.raises(ProcessLookupError):
        os.kill(int((place / "pid").read_text()), 0)
    (place / "stuck").unlink()
    assert go(place, repository).is_dir()
    assert calls(place) == ["first", "first", "second"]


def test_the_stages_of_the_project_are_read(repository):
    stages = {stage.name: stage for stage in read_stages(repository / "dvc.yaml")}
    assert next(iter(stages)) == "generate_prompts"
    assert stages["generate_images@aligned"].inputs == ("artifacts/prompts", "artifacts/bundle")
    assert stages["finetune"].outputs == ("artifacts/finetune", "metrics/finetune.json")
    assert "artifacts/baselines" in stages["measure_images"].inputs
    assert all(stage.command[:2] == ("python", "-m") for stage in stages.values())


def test_of_two_processes_in_one_folder_one_makes_what_both_need(place, repository):
    (place / "slow").touch()
    with ThreadPoolExecutor(2) as pool:
        names = ("short", "long")
        folders = list(pool.map(lambda name: go(place, repository, name=name), names))
    assert sorted(calls(place)) == ["first", "second", "second"]
    values = [json.loads((f / "artifacts/second/a/value.json").read_text()) for f in folders]
    assert values == [[0, 40], [0, 60]]
