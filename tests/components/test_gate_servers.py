"""From candidate to champion and back against real MLflow servers, on sqlite and PostgreSQL."""

from __future__ import annotations

import contextlib
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from components import cli
from components.gate.main import main as gate
from fairness_core.errors import ConfigError
from fairness_core.runtime import read_json, write_manifest
from tests.helpers.servers import mlflow_server, postgresql

pytestmark = pytest.mark.integration

NAME = "evenhand-adapter"
TODAY = datetime.now(UTC).date()
WAIVER = {"rule": "bias.gender", "name": "A. Person", "reason": "a first release"}


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request, tmp_path, monkeypatch, done):
    """The working directory of a finished run whose registry is a server."""
    for name in ("artifacts/evaluation", "artifacts/bundle", "artifacts/report", "metrics"):
        shutil.copytree(done / name, tmp_path / name)
    shutil.copy(done / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        store = (
            stack.enter_context(postgresql())
            if request.param == "postgresql"
            else f"sqlite:///{tmp_path}/server.db"
        )
        address = stack.enter_context(mlflow_server(store, tmp_path))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        yield tmp_path


def judged(limit, *waivers):
    policy = {"version": 1, "rules": {"bias": {"gender": limit}}, "waivers": list(waivers)}
    with open("policy.yaml", "w") as file:
        yaml.safe_dump(policy, file)
    return gate(["--set", "run.tracking=true"])


def call(*argv):
    """The last line: before it, MLflow prints where the run can be seen."""
    said = CliRunner().invoke(cli.app, list(argv), catch_exceptions=False).output
    return said.splitlines()[-1] if said else ""


def test_three_gates_then_promotion_and_rollback(server, capsys):
    from mlflow import MlflowClient

    entry = read_json(server / "metrics/evaluation.json")["aligned"]["gender"]
    high = entry["ci95"][1]
    assert entry["bias"] < high
    between = (entry["bias"] + high) / 2

    # Fails on its interval alone: the point would have passed.
    assert judged(between) == 3
    assert "upper end misses" in capsys.readouterr().err
    # A waiver that ended yesterday counts no more.
    ended = WAIVER | {"until": TODAY - timedelta(days=1)}
    assert judged(between, ended) == 3
    assert f"ended {ended['until']}" in capsys.readouterr().err
    client = MlflowClient()
    assert client.search_registered_models() == []
    # One that lasts lets it pass, and the version says what was waived.
    assert judged(between, WAIVER | {"until": date.max}) == 0
    assert client.get_model_version_by_alias(NAME, "candidate").tags["waived"] == "bias.gender"
    # Met on its own.
    assert judged(high) == 0
    version = client.get_model_version_by_alias(NAME, "candidate")
    assert (int(version.version), version.tags["waived"]) == (1, "")

    why = ("--by", "A. Person", "--reason", "read the report")
    assert call("promote", *why) == "Champion: version 1 (before: none)"
    (server / "artifacts/bundle/README.md").write_text("another")
    write_manifest(server / "artifacts/bundle", "adapter-bundle")
    assert judged(high) == 0
    assert call("promote", *why) == "Champion: version 2 (before: 1)"
    back = ("--by", "B. Person", "--reason", "complaints")
    assert call("rollback", *back) == "Champion: version 1 (before: 2)"
    with pytest.raises(ConfigError, match="no earlier champion"):
        call("rollback", *back)

    assert int(client.get_model_version_by_alias(NAME, "champion").version) == 1
    assert int(client.get_model_version_by_alias(NAME, "candidate").version) == 2
    place = client.get_experiment_by_name("tiny").experiment_id
    runs = {run.info.run_name: run.data for run in client.search_runs([place])}
    assert {"gate", "register", "promote", "rollback"} <= set(runs)
    assert runs["rollback"].tags["reason"] == "complaints"
    assert (runs["rollback"].tags["from"], runs["rollback"].tags["to"]) == ("2", "1")
    # The bundle itself came through the server and comes back whole.
    held = client.get_model_version(NAME, "2")
    got = client.download_artifacts(held.run_id, "bundle/README.md", str(server))
    assert Path(got).read_text() == "another"
