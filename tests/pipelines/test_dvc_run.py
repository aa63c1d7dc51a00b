"""``evenhand run`` as a DVC experiment: what DVC is told, and what is refused before it starts."""

from __future__ import annotations

import json
import shlex
import subprocess

import pytest
import yaml
from typer.testing import CliRunner

from components import cli
from fairness_core.errors import ConfigError

PRESET = """# Mine.
models: {base: models/base, detector: tracked/pack, image_self: mixed}
calibrate_classifier: {source: "fairface:data/fairface"}
"""
# A step that says what it finds, in the experiment's own metrics.
STEP = """
import json, os, yaml
params = yaml.safe_load(open("params.yaml"))
models = params["models"]
source = params["calibrate_classifier"]["source"].removeprefix("fairface:")
places = [models["base"], models["detector"], source]
told = {"here": [os.path.isdir(place) for place in places]}
if params["run"]["seed"] == 13:
    raise SystemExit("thirteen is unlucky")
told["originals"] = os.environ["EVENHAND_ORIGINALS"]
told["checkpoints"] = os.environ["EVENHAND_CHECKPOINTS"]
told["tracking"] = os.environ["MLFLOW_TRACKING_URI"]
json.dump(told, open("told.json", "w"))
"""
PIPELINE = {
    "stages": {
        "tell": {
            "cmd": "python step.py",
            "params": ["models", "calibrate_classifier", "run.seed"],
            "metrics": [{"told.json": {"cache": False}}],
        }
    }
}


def git(*words):
    subprocess.run(["git", *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, repository, monkeypatch):
    """A repository with one trivial step, with folders that git tracks and others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((repository / "params.yaml").read_text())
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE))
    (tmp_path / "step.py").write_text(STEP)
    (tmp_path / ".gitignore").write_text("/models/\n/data/\n")
    for folder in ("presets", ".dvc", "models/base", "tracked/pack", "mixed", "data/fairface"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "presets/mine.yaml").write_text(PRESET)
    for file in (".dvc/config", "tracked/pack/a", "mixed/a"):
        (tmp_path / file).touch()
    git("init", "--quiet")
    git("config", "user.name", "a")
    git("config", "user.email", "a@example.org")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    (tmp_path / "mixed/b").touch()
    return tmp_path


def evenhand(*words):
    return CliRunner().invoke(cli.app, ["run", *words], catch_exceptions=False)


def shown(*words):
    command = shlex.split(evenhand("--show", *words).output)
    return dict(word.removeprefix("++").split("=", 1) for word in command if word[:2] == "++")


def test_what_git_does_not_track_is_given_by_its_whole_path(checkout):
    given = shown("--preset", "mine")
    assert given["models.base"] == f"'{checkout}/models/base'"
    assert given["models.detector"] == "'tracked/pack'"
    assert given["models.image_self"] == f"'{checkout}/mixed'"
    assert given["calibrate_classifier.source"] == f"'fairface:{checkout}/data/fairface'"
    assert shown("--preset", "mine", "--keep")["models.base"] == "'models/base'"
    # Also what params.yaml itself names, and what single values do.
    values = yaml.safe_load((checkout / "params.yaml").read_text())
    values["models"]["base"] = "models/base"
    (checkout / "params.yaml").write_text(yaml.safe_dump(values))
    kept = {"gate.enforce": "false"}
    assert shown() == {"models.base": f"'{checkout}/models/base'"} | kept
    (checkout / "link").symlink_to(checkout / "models")
    git("add", "link")
    assert shown("--set", "models.base=link")["models.base"] == f"'{checkout}/link'"


def test_the_policy_does_not_lose_an_experiment_unless_told(checkout):
    """DVC keeps none that failed."""
    assert shown("--preset", "mine")["gate.enforce"] == "false"
    assert shown("--preset", "mine", "--set", "gate.enforce=true")["gate.enforce"] == "true"
    assert "gate.enforce" not in shown("--preset", "mine", "--keep")
    (checkout / "presets/mine.yaml").write_text(PRESET + "gate: {enforce: true}\n")
    assert shown("--preset", "mine")["gate.enforce"] == "true"


@pytest.mark.slow
def test_an_experiment_finds_models_and_this_checkouts_originals_and_tracking(checkout):
    assert evenhand("--preset", "mine").exit_code == 0
    refs = ["git", "for-each-ref", "--format=%(refname)", "refs/exps/*/*/mine"]
    (ref,) = subprocess.run(refs, capture_output=True, text=True, check=True).stdout.split()
    file = subprocess.run(["git", "show", f"{ref}:told.json"], capture_output=True, check=True)
    assert json.loads(file.stdout) == {
        "here": [True, True, True],
        "originals": f"{checkout}/artifacts/originals",
        "checkpoints": f"{checkout}/artifacts/checkpoints/mine",
        "tracking": f"sqlite:///{checkout}/mlflow.db",
    }
    assert not (checkout / "told.json").exists()
    failed = evenhand("--set", "run.seed=13", "--set", "models.base=models/base")
    assert failed.exit_code != 0
    assert f"with --keep --set models.base={checkout}/models/base\n" in failed.output
    with pytest.raises(ConfigError, match=r"experiment of that name.*mine.*dvc exp remove mine"):
        evenhand("--preset", "mine")


def test_what_cannot_run_is_one_error_before_anything_starts(checkout, monkeypatch):
    def refused(match, *words):
        with pytest.raises(ConfigError, match=match):
            evenhand("--preset", "mine", *words)

    (checkout / "other.yaml").write_text((checkout / "params.yaml").read_text())
    refused("params.yaml and no other file.*other.yaml", "--params", "other.yaml")
    (checkout / "models/base").rmdir()
    refused(r"not here. Given: models.base: models/base\. ")
    (checkout / "dvc.yaml").rename(checkout / "dvc.txt")
    refused("root of a git checkout")
    (checkout / "dvc.txt").rename(checkout / "dvc.yaml")
    monkeypatch.setenv("GIT_DIR", str(checkout / "nowhere"))
    refused("root of a git checkout")
    monkeypatch.setenv("PATH", "")
    refused("git cannot be asked")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    refused("DVC is not installed.*evenhand.data")
