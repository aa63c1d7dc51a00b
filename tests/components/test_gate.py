"""The gate, registration, promotion and the way back, against a real MLflow store."""

from __future__ import annotations

import shutil
from datetime import date

import pytest
import yaml
from typer.testing import CliRunner

from components import cli
from components.gate.main import main as gate
from fairness_core.errors import ConfigError
from fairness_core.runtime import read_json, write_manifest

EASY = {"version": 1, "rules": {"bias": {"gender": 1.0}, "no_face_rate": 1.0}}
HARD = {"version": 1, "rules": {"bias": {"gender": 0.001}}}
TRACKED = ("--set", "run.tracking=true")


@pytest.fixture
def workshop(done, tmp_path, monkeypatch):
    """A copy of what the gate reads, with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("artifacts/evaluation", "artifacts/bundle", "artifacts/report", "metrics"):
        shutil.copytree(done / name, tmp_path / name)
    shutil.copy(done / "params.yaml", tmp_path)
    return tmp_path


def judged(policy, *more):
    with open("policy.yaml", "w") as file:
        yaml.safe_dump(policy, file)
    return gate(list(more))


def test_a_failing_gate_ends_with_its_own_status_and_the_reason(workshop, capsys):
    waiver = {"rule": "bias.gender", "name": "A", "reason": "r", "until": "2020-01-01"}
    text = yaml.safe_dump(HARD) + "waivers:\n- " + str(waiver).replace("'", "")
    (workshop / "policy.yaml").write_text(text)
    assert gate([]) == 3
    said = capsys.readouterr().err
    assert "The policy is not met: bias.gender" in said
    assert "upper end misses <= 0.001" in said
    assert "ended 2020-01-01" in said
    assert read_json(workshop / "artifacts/gate/verdict.json")["passed"] is False
    assert not (workshop / "mlflow.db").exists()


def test_a_policy_that_is_not_enforced_says_so_and_registers_nothing(workshop, capsys):
    assert judged(HARD, *TRACKED, "--set", "gate.enforce=false") == 0
    assert "The policy is not met: bias.gender" in capsys.readouterr().err
    verdict = read_json(workshop / "artifacts/gate/verdict.json")
    assert (verdict["passed"], verdict["version"]) == (False, None)


def test_from_candidate_to_champion_and_back(workshop):
    from mlflow import MlflowClient

    assert judged(EASY, *TRACKED) == 0
    assert read_json(workshop / "artifacts/gate/verdict.json")["version"] == 1
    assert judged(EASY, *TRACKED) == 0  # the same bundle is the same version
    client = MlflowClient(f"sqlite:///{workshop}/mlflow.db")
    name = "evenhand-adapter"
    assert client.get_model_version_by_alias(name, "candidate").version in (1, "1")
    assert "champion" not in client.get_registered_model(name).aliases

    def call(*argv):
        return CliRunner().invoke(cli.app, list(argv), catch_exceptions=False).output

    why = ("--by", "A. Person", "--reason", "read the report")
    assert call("promote", *why) == "Champion: version 1 (before: none)\n"
    with pytest.raises(ConfigError, match="the champion already"):
        call("promote", *why)
    with pytest.raises(ConfigError, match="no earlier champion"):
        call("rollback", *why)

    (workshop / "artifacts/bundle/README.md").write_text("another")
    write_manifest(workshop / "artifacts/bundle", "adapter-bundle")
    assert judged(EASY, *TRACKED) == 0
    assert client.get_model_version_by_alias(name, "candidate").version in (2, "2")
    assert client.get_model_version_by_alias(name, "champion").version in (1, "1")
    with pytest.raises(ConfigError, match="no such version"):
        call("promote", *why, "--version", "7")
    with pytest.raises(ConfigError, match="a name and a reason"):
        call("promote", "--by", " ", "--reason", "x")
    assert call("promote", *why) == "Champion: version 2 (before: 1)\n"
    back = ("--by", "B. Person", "--reason", "complaints")
    assert call("rollback", *back) == "Champion: version 1 (before: 2)\n"

    place = client.get_experiment_by_name("tiny").experiment_id
    runs = {run.info.run_name: run.data.tags for run in client.search_runs([place])}
    assert {"gate", "register", "promote", "rollback"} <= set(runs)
    assert runs["rollback"]["by"] == "B. Person"
    assert (runs["rollback"]["from"], runs["rollback"]["to"]) == ("2", "1")
    version = client.get_model_version(name, "2")
    assert version.tags["policy_sha256"]
    assert version.description.startswith("---")
    files = [item.path for item in client.list_artifacts(version.run_id, "bundle")]
    assert "bundle/pytorch_lora_weights.safetensors" in files


def test_the_report_prints_the_verdict_and_its_waivers(workshop, done):
    from components.report.main import main as report

    for name in ("prompts", "classifiers", "finetune", "images"):
        shutil.copytree(done / "artifacts" / name, workshop / "artifacts" / name)
    waiver = {"rule": "bias.gender", "name": "A. Person", "reason": "a trial", "until": date.max}
    (workshop / "policy.yaml").write_text(yaml.safe_dump(HARD | {"waivers": [waiver]}))
    assert report(["--policy", "policy.yaml"]) == 0
    for name in ("report.html", "model-card.md"):
        text = (workshop / "artifacts/report" / name).read_text()
        assert "aiver of A. Person, until 9999-12-31: a trial" in text
    unjudged = (done / "artifacts/report/report.html").read_text()
    assert "No policy was given" in unjudged


def test_without_a_gate_there_is_nothing_to_promote(workshop):
    command = ["promote", "--by", "A", "--reason", "b"]
    with pytest.raises(ConfigError, match="no such version to promote"):
        CliRunner().invoke(cli.app, command, catch_exceptions=False)
