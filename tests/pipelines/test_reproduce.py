"""From a run that the server knows back to the same parameters, commit and data here."""

from __future__ import annotations

import subprocess

import pytest
from typer.testing import CliRunner

from components import cli
from fairness_core.config import load
from fairness_core.errors import ConfigError
from pipelines.compile import arguments, given_policy
from pipelines.job import lines
from pipelines.provenance import provenance
from pipelines.server import ServerError
from tests.pipelines.conftest import IMAGES
from tests.pipelines.fake_server import TOKEN
from tests.pipelines.test_client import checkout, fake  # noqa: F401 - fixtures

# The arguments below are fixtures of the imported names.
ITERATIONS = "finetune.iterations=40"


def reproduce(fake, *more):  # noqa: F811
    words = ["reproduce", "runs-0", "--host", fake.url, "--token", TOKEN, *more]
    result = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def sent(fake, checkout):  # noqa: F811
    """What the server keeps of a run of this very checkout."""
    tags = provenance(checkout, IMAGES, dirty=False)
    description = lines({"pipeline": "align-and-evaluate", **tags})
    parameters = arguments("align-and-evaluate", load(checkout / "params.yaml", [ITERATIONS]))
    parameters |= given_policy(checkout / "policy.yaml")
    run = {"run_id": "runs-0", "description": description, "display_name": "a",
           "runtime_config": {"parameters": parameters}}  # fmt: skip
    fake.stored["runs"].append(run)
    return checkout


@pytest.fixture
def ran(monkeypatch):
    """What would have been run."""
    calls = []
    monkeypatch.setattr(
        "pipelines.local_run.run_here", lambda *words, **options: calls.append((words, options))
    )
    return calls


def commit(folder, message):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    words = ["git", *identity, "commit", "-qam", message]
    subprocess.run(words, cwd=folder, check=True)


def test_the_same_parameters_in_the_same_image(fake, sent, ran):  # noqa: F811
    said = reproduce(fake, "--out", "again", "--memory", "4g")
    ((name, given, out), options) = ran[0]
    assert given == fake.stored["runs"][0]["runtime_config"]["parameters"]
    assert '"iterations": 40' in given["finetune_parameters"]
    assert (name, str(out)) == ("align-and-evaluate", "again")
    assert (options["containers"].image, options["containers"].memory) == (IMAGES.cpu, "4g")
    assert options["environment"] == {"EVENHAND_TRACKING": "0"}
    assert f"Image:    {IMAGES.cpu}" in said


def test_processes_and_another_image_when_asked_for(fake, sent, ran):  # noqa: F811
    reproduce(fake, "--runner", "subprocess")
    reproduce(fake, "--image", "evenhand-cpu:here")
    assert ran[0][1]["containers"] is None
    assert ran[1][1]["containers"].image == "evenhand-cpu:here"
    assert "runs-0" not in reproduce(fake, "--show")
    assert len(ran) == 2


def test_hashes_are_shown_to_be_compared(fake, sent, monkeypatch):  # noqa: F811
    def run_here(name, given, out, **_):
        (out / "artifacts/bundle").mkdir(parents=True)
        (out / "artifacts/bundle/manifest.json").write_text("{}")

    monkeypatch.setattr("pipelines.local_run.run_here", run_here)
    assert "bundle: sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc2" in reproduce(fake)


def test_another_commit_is_an_error_with_the_way_back(fake, sent, ran):  # noqa: F811
    (sent / "params.yaml").write_text((sent / "params.yaml").read_text() + "\n")
    with pytest.raises(ConfigError, match="changes that are in no commit.*params.yaml"):
        reproduce(fake)
    commit(sent, "another")
    with pytest.raises(ConfigError, match="another commit.*do: git checkout [0-9a-f]{40}"):
        reproduce(fake)
    assert ran == []


def test_other_data_are_an_error(fake, sent, ran):  # noqa: F811
    run = fake.stored["runs"][0]
    run["description"] = run["description"].replace("data: sha256:", "data: sha256:0")
    with pytest.raises(ConfigError, match="knew other data.*dvc pull"):
        reproduce(fake)


def test_a_run_with_unknown_changes_is_refused_unless_told(fake, sent, ran):  # noqa: F811
    fake.stored["runs"][0]["description"] += "\ngit.dirty: true"
    with pytest.raises(ConfigError, match="what they were is not known"):
        reproduce(fake)
    reproduce(fake, "--allow-dirty")
    assert len(ran) == 1


def test_runs_of_others_and_runs_that_are_not_there(fake, sent):  # noqa: F811
    fake.stored["runs"][0]["description"] = "my run"
    with pytest.raises(ConfigError, match="does not say where it came from.*runs-0"):
        reproduce(fake)
    fake.stored["runs"].clear()
    with pytest.raises(ServerError, match="runs-0 not found"):
        reproduce(fake)
