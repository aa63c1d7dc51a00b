"""The command line ``evenhand``."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import fairness_core
from components import cli
from components.audit.main import main as audit
from fairness_core.config import read_policy
from fairness_core.errors import ArtifactError, ConfigError

RUNNER = CliRunner()


def test_table_prints_bias_before_and_after(here):
    result = RUNNER.invoke(cli.app, ["table"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "gender bias" in result.output
    assert str(here / "artifacts/report/report.html") in result.output
    assert "Tracking: off" in result.output


def test_a_table_of_something_else_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ArtifactError, match="no evaluation.*What to do: name evaluation.json"):
        RUNNER.invoke(
            cli.app, ["table", "--metrics", str(tmp_path / "list.json")], catch_exceptions=False
        )


def test_a_bundle_is_not_laid_over_images(repository, capsys):
    words = ["--images", "i", "--bundle", "b", "--prompts", "p.txt"]
    assert audit([*words, "--params", str(repository / "params.yaml")]) == 1
    assert "give --model instead of --images" in capsys.readouterr().err


def test_a_tracking_server_is_named_without_its_credentials(here, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example:5000/a")
    output = RUNNER.invoke(cli.app, ["table"], catch_exceptions=False).output
    assert "Tracking: https://mlflow.example:5000/a" in output
    assert "secret" not in output


def test_a_tracking_file_is_named_as_it_was_given(monkeypatch):
    for uri in ("sqlite:////tmp/ux/mlflow.db", "sqlite:///mlflow.db", "/srv/runs"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert cli._tracking() == uri


@pytest.mark.parametrize(
    ("words", "prog"),
    [
        (["audit"], "evenhand audit"),
        (["sweep"], "evenhand sweep"),
        (["label"], "evenhand label"),
        (["originals"], "evenhand originals"),
        (["step", "finetune"], "evenhand step finetune"),
        (["step", "audit"], "evenhand audit"),
    ],
)
def test_help_names_the_command_that_was_asked(words, prog, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.app([*words, "--help"], standalone_mode=False)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: {prog} [-h] [--params PARAMS]")
    assert "--out" in said or words == ["originals"]


def test_the_version_is_printed():
    found = RUNNER.invoke(cli.app, ["--version"], catch_exceptions=False)
    assert (found.exit_code, found.stdout) == (0, f"evenhand {fairness_core.__version__}\n")
    assert "Align text-to-image diffusion models" in RUNNER.invoke(cli.app, ["--help"]).stdout


def test_help_of_step_lists_the_steps():
    found = RUNNER.invoke(cli.app, ["step", "--help"], catch_exceptions=False)
    assert found.exit_code == 0
    assert "check_portraits" in found.stdout


def test_check_says_that_parameters_are_sound(here):
    assert "is sound" in RUNNER.invoke(cli.app, ["check"], catch_exceptions=False).output
    with pytest.raises(ConfigError, match="no-such-file"):
        RUNNER.invoke(cli.app, ["check", "no-such-file.yaml"], catch_exceptions=False)


def test_check_says_what_is_not_here_and_refuses_names_that_are_wrong(repository, tmp_path):
    text = (repository / "params.yaml").read_text().replace("portraits:dino-audit", "org/dino")
    params = tmp_path / "params.yaml"
    params.write_text(text.replace("overrides: {}", "overrides: nope.csv"))
    said = RUNNER.invoke(cli.app, ["check", str(params)], catch_exceptions=False)
    assert said.exit_code == 0
    assert said.output.splitlines()[1:] == [
        "not here, so a run here would stop: models.audit_image_self: org/dino",
        "not here, so a run here would stop: targets.overrides: nope.csv",
    ]
    wrong = text.replace("portraits:base ", "portraits:bse ")
    params.write_text(wrong.replace("portraits:clip ", "org/clip@main "))
    with pytest.raises(ConfigError, match=r"did you mean 'base'.*org/clip@main: .* needs a commit"):
        RUNNER.invoke(cli.app, ["check", str(params)], catch_exceptions=False)


def test_check_takes_its_file_as_other_commands_do_too(repository):
    params = str(repository / "params.yaml")
    said = RUNNER.invoke(cli.app, ["check", "--params", params], catch_exceptions=False)
    assert said.output == f"{params} is sound\n"
    with pytest.raises(ConfigError, match=r"named twice.*What to do: name it once"):
        RUNNER.invoke(cli.app, ["check", params, "--params", params], catch_exceptions=False)


@pytest.mark.parametrize(
    ("command", "defaults"),
    [
        ("promote", ["the candidate"]),
        ("portraits build", ["the package's own"]),
        ("plan", ["none"]),
        ("experiments", ["all"]),
        ("run", ["none", "yours; root's: 10001", "no limit"]),
        ("reproduce", ["the run's", "in-cluster"]),
        ("check", ["params.yaml"]),
    ],
)
def test_help_says_what_holds_where_an_option_is_not_given(command, defaults):
    found = RUNNER.invoke(cli.app, [*command.split(), "--help"], env={"COLUMNS": "300"})
    for default in defaults:
        assert f"[default: {default}]" in found.stdout
    assert "Stable Diffusion 1.x and 2.x" in found.stdout or command != "plan"


def test_step_passes_options_on(here, tmp_path):
    result = RUNNER.invoke(
        cli.app,
        ["step", "generate_prompts", "--out", str(tmp_path / "o")],
        catch_exceptions=False,
    )
    assert result.exit_code == 0
    assert (tmp_path / "o" / "manifest.json").is_file()
    with pytest.raises(ConfigError, match="no such step.*generate_images"):
        RUNNER.invoke(cli.app, ["step", "generate"], catch_exceptions=False)


def test_presets_are_listed_and_run_shows_one_experiment(repository, monkeypatch):
    monkeypatch.chdir(repository)
    listed = RUNNER.invoke(cli.app, ["presets"], catch_exceptions=False).output
    assert listed.splitlines()[0].startswith("portraits-gender ")
    assert len(listed.splitlines()) == 12
    command = ["run", "--preset", "portraits-race", "--set", "run.seed=3", "--show"]
    shown = RUNNER.invoke(cli.app, command, catch_exceptions=False).output
    assert shown.startswith("dvc exp run --temp --name portraits-race ")
    assert "++run.seed=3" in shown
    with pytest.raises(
        ConfigError, match="(?s)With preset 'portraits-race'.*run.seed: must be >= 0"
    ):
        RUNNER.invoke(cli.app, [*command, "--set", "run.seed=-1"], catch_exceptions=False)


def test_presets_lists_the_sound_ones_beside_a_broken_one(tmp_path):
    (tmp_path / "good.yaml").write_text("# what is good\nrun: {name: good}\n")
    (tmp_path / "broken.yaml").write_text("no comment: 1\n")
    found = RUNNER.invoke(cli.app, ["presets", "--folder", str(tmp_path)], catch_exceptions=False)
    assert found.exit_code == 1
    assert found.stdout == "good  what is good\n"
    assert "error: A preset begins with a comment" in found.stderr
    assert "broken.yaml. What to do: correct the file" in found.stderr


def test_messages_say_what_to_do(tmp_path):
    nothing = str(tmp_path / "no.yaml")
    for words, do in (
        (["check", nothing], "name one by --params"),
        (["lint", nothing], "name a file that evenhand compile has written"),
        (["experiments", "--presets", "a", "--out", nothing, "--seeds", "a"], "write for example"),
        (["plan-audit", "--half-width", "2", "--prompts", "1", "--attribute", "gender"], "0.03"),
        (
            ["plan-audit", "--half-width", "0.1", "--prompts", "1"] + ["--attribute", "age"] * 2,
            "name each attribute once",
        ),
    ):
        with pytest.raises(ConfigError, match=f"What to do: .*{do}"):
            RUNNER.invoke(cli.app, words, catch_exceptions=False)
    with pytest.raises(ConfigError, match="What to do: name one by --policy"):
        read_policy(tmp_path / "no.yaml")


def test_run_without_preset_and_with_the_other_runners_options(repository, monkeypatch):
    monkeypatch.chdir(repository)
    command = ["run", "--set", "run.seed=3"]
    shown = RUNNER.invoke(cli.app, [*command, "--show"], catch_exceptions=False).output
    kept = "--set-param ++gate.enforce=false"  # DVC keeps nothing of a run that failed
    assert shown == f"dvc exp run --temp --set-param ++run.seed=3 {kept}\n"
    for wrong, said in (
        (["--runner", "subprocess", "--show", "--keep"], "runner subprocess has no --keep, --show"),
        (["--input", "a=b", "--out", "x"], "runner dvc has no --out, --input"),
        (["--runner", "docker", "--preset", "portraits-rase"], "no such preset.*portraits-race"),
        (["--runner", "docker", "--image", ""], "Containers need an image"),
    ):
        with pytest.raises(ConfigError, match=said):
            RUNNER.invoke(cli.app, [*command, *wrong], catch_exceptions=False)


def test_draw_writes_a_sheet(tmp_path):
    sheet = tmp_path / "a" / "sheet.png"
    command = ["portraits", "draw", str(sheet), "--count", "10", "--scale", "2"]
    assert RUNNER.invoke(cli.app, command, catch_exceptions=False).exit_code == 0
    with Image.open(sheet) as picture:
        assert picture.size == (8 * 64, 2 * 64)
        pixels = np.asarray(picture)
    assert (pixels[64:, 2 * 64 :] == 255).all()
    assert not (pixels[64:, : 2 * 64] == 255).all()


@pytest.mark.parametrize(
    ("argv", "place"),
    [
        (["check", "."], "."),
        (["portraits", "draw", "/proc/x/sheet.png", "--count", "1"], "/proc/x"),
        (["step", "generate_prompts", "--out", "/proc/x/o"], "/proc"),
    ],
)
def test_what_cannot_be_read_or_written_is_one_message(here, monkeypatch, capsys, argv, place):
    monkeypatch.setattr(sys, "argv", ["evenhand", *argv])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert f"Given: {place}" in said


def test_errors_are_one_message_and_what_is_not_needed_is_not_imported(tmp_path):
    code = (
        "import sys\n"
        "from components import cli\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'mlflow', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.argv = ['evenhand', 'check', 'nowhere.yaml']\n"
        "cli.main()\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert found.returncode == 1, found.stderr
    assert found.stderr.startswith("error: ")
    assert "nowhere.yaml" in found.stderr
    assert "Traceback" not in found.stderr
