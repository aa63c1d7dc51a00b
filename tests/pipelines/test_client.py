"""Starting, watching and stopping runs, and all the ways in which a server fails."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from components import cli
from fairness_core.errors import ConfigError
from pipelines.client import Cluster
from pipelines.job import Job
from pipelines.server import Endpoint, ServerError, Uncertain, translated
from tests.pipelines.conftest import IMAGES
from tests.pipelines.fake_server import TOKEN, serving

CRON = "0 0 3 * * 1"


@pytest.fixture
def fake(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KF_PIPELINES_ENDPOINT", "EVENHAND_KFP_TOKEN", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        yield server


@pytest.fixture
def cluster(fake):
    return Cluster(Endpoint(fake.url, TOKEN, timeout=30))


@pytest.fixture
def hasty(fake):
    """One that soon gives up on an answer."""
    return Cluster(Endpoint(fake.url, TOKEN, timeout=1))


@pytest.fixture
def job(documents):
    needed = documents[0]["root"]["inputDefinitions"]["parameters"]
    return Job("tiny", "heading", documents, dict.fromkeys(needed, "{}"), {"git": "abc"})


def test_a_run_is_started_once_and_traced(fake, cluster, job):
    started = cluster.submit(job)
    (run,) = fake.stored["runs"]
    assert (started.id, started.name) == (run["run_id"], run["display_name"])
    assert started.link == f"{fake.url}/#/runs/details/{started.id}"
    assert re.fullmatch(r"tiny [0-9a-f]{8}", started.name)
    assert run["description"] == "git: abc"
    assert set(run["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
    cluster.submit(job)
    assert [e["display_name"] for e in fake.stored["experiments"]] == ["heading"]


@pytest.mark.parametrize("how", ["store-hang", "store-500"])
def test_a_run_whose_answer_was_lost_is_found_again(fake, cluster, hasty, job, how):
    fake.behave["POST", "runs"] = how
    started = (hasty if how == "store-hang" else cluster).submit(job)
    assert [run["run_id"] for run in fake.stored["runs"]] == [started.id]
    assert fake.asked.count(("POST", "/apis/v2beta1/runs")) == 1


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (400, "Cannot submit the run: status 400. It says: the server says why"),
        (401, "token is missing, wrong or expired"),
        (403, "this account may not. It says: the server says why"),
        (409, "status 409"),
        (500, "has nothing named 'tiny"),
        (503, "status 503.*has nothing named 'tiny"),
        ("hang", "no answer came.*has nothing named 'tiny"),
    ],
)
def test_a_refused_run_is_one_message_and_no_second_try(fake, cluster, hasty, job, how, message):
    fake.behave["POST", "runs"] = how
    with pytest.raises(ServerError, match=message):
        (hasty if how == "hang" else cluster).submit(job)
    assert fake.stored["runs"] == []
    assert fake.asked.count(("POST", "/apis/v2beta1/runs")) == 1


def test_when_nothing_can_be_known_the_message_names_the_run(fake, hasty, job):
    fake.behave |= {("POST", "runs"): "store-hang", ("GET", "runs"): "hang"}
    with pytest.raises(Uncertain, match=r"nor could it be asked whether it has 'tiny [0-9a-f]{8}'"):
        hasty.submit(job)
    assert len(fake.stored["runs"]) == 1
    assert fake.asked.count(("POST", "/apis/v2beta1/runs")) == 1


def test_a_body_that_the_server_would_not_take_is_its_own_message(fake, cluster, documents):
    with pytest.raises(ServerError, match="status 400. It says: bad body"):
        cluster.submit(Job("tiny", "heading", documents, {"unknown": "1"}))


def test_addresses_and_tokens(fake, monkeypatch):
    with pytest.raises(ConfigError, match="No Kubeflow Pipelines server is named"):
        Cluster(Endpoint())
    with pytest.raises(ConfigError, match="starts with http.*What to do: write http://kfp"):
        Cluster(Endpoint("kfp.example"))
    with pytest.raises(ServerError, match="connect: the token is missing, wrong or expired"):
        Cluster(Endpoint(fake.url, "old", timeout=30))
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", fake.url)
    monkeypatch.setenv("EVENHAND_KFP_TOKEN", TOKEN)
    fake.stored["runs"].append({"run_id": "r", "display_name": "x", "state": "RUNNING"})
    assert Cluster(Endpoint(timeout=30)).status("r") == ("RUNNING", [])


def test_https_that_fails_is_one_message(fake, tmp_path):
    secure = fake.url.replace("http:", "https:")
    with pytest.raises(ServerError, match="does not speak https.*begins with http://"):
        Cluster(Endpoint(secure, TOKEN, timeout=30))
    with pytest.raises(ConfigError, match="certificates cannot be read.*none.pem.*PEM file"):
        Cluster(Endpoint(secure, TOKEN, ca="none.pem", timeout=30))
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(ConfigError, match="certificates cannot be read"):
        Cluster(Endpoint(fake.url, TOKEN, ca=str(empty), timeout=30))
    assert fake.asked == []


def test_a_certificate_that_nobody_vouches_for(tmp_path):
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    words += ["-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    with serving(certificate=(pem, key)) as server:
        with pytest.raises(ServerError, match="certificate is not trusted.*by --ca"):
            Cluster(Endpoint(server.url, TOKEN, timeout=30))
        assert server.asked == []
        Cluster(Endpoint(server.url, TOKEN, ca=str(pem), timeout=30))
    assert server.asked


def test_an_error_of_our_own_is_no_failure_of_the_server():
    with pytest.raises(AttributeError, match="nothing"), translated("http://x", "connect"):
        None.nothing  # noqa: B018


def test_a_pods_own_token_is_taken(fake, monkeypatch, tmp_path):
    fake.stored["runs"].append({"run_id": "r", "display_name": "x", "state": "RUNNING"})
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(ConfigError, match="The pod's token for Kubeflow cannot be read"):
        Cluster(Endpoint(fake.url, timeout=30))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert Cluster(Endpoint(fake.url, timeout=30)).status("r") == ("RUNNING", [])


def test_a_server_that_is_not_there(fake):
    with socket.socket() as free:
        # Taken, and nobody listens.
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(ServerError, match="the server cannot be reached.*port-forward"):
            Cluster(Endpoint(url, TOKEN, timeout=30))


def test_status_names_tasks_and_their_errors(fake, cluster):
    fake.stored["runs"].append(RUN)
    state, tasks = cluster.status("r")
    assert state == "FAILED"
    assert [(t.name, t.state, t.pod, t.error) for t in tasks] == [
        ("Write prompts", "SUCCEEDED", "pod-1", ""),
        ("Finetune", "FAILED", "pod-2", "out of memory"),
    ]
    with pytest.raises(ServerError, match="read the run: there is no such thing"):
        cluster.status("nowhere")


RUN = {
    "run_id": "r",
    "display_name": "x",
    "state": "FAILED",
    "run_details": {
        "task_details": [
            {"display_name": "Write prompts", "state": "SUCCEEDED", "pod_name": "pod-1"},
            {
                "display_name": "Finetune",
                "state": "FAILED",
                "child_tasks": [{"pod_name": "pod-2"}],
                "error": {"code": 137, "message": "out of\nmemory"},
            },
        ]
    },
}


def test_logs_of_all_tasks_or_of_one(fake, cluster):
    fake.stored["runs"].append(RUN)
    assert list(cluster.logs("r", "Finetune")) == [("Finetune", "log of pod-2\n")]
    assert [name for name, _ in cluster.logs("r")] == ["Write prompts", "Finetune"]
    with pytest.raises(ServerError, match="choose among the run's tasks: Write prompts, Finetune"):
        list(cluster.logs("r", "Publish"))


def test_cancelling(fake, cluster):
    fake.stored["runs"] += [RUN, {"run_id": "s", "display_name": "y", "state": "RUNNING"}]
    assert cluster.cancel("s")
    assert not cluster.cancel("r")
    assert fake.terminated == ["s"]
    fake.behave["POST", "runs"] = 403
    with pytest.raises(ServerError, match="cancel the run: this account may not"):
        cluster.cancel("s")


def test_a_schedule_is_made_once(fake, cluster, job):
    made = cluster.schedule(job, CRON)
    (stored,) = fake.stored["recurringruns"]
    assert made.id == stored["recurring_run_id"]
    assert stored["trigger"] == {"cron_schedule": {"cron": CRON}}
    assert (stored["mode"], stored["max_concurrency"], stored["no_catchup"]) == (
        "ENABLE",
        "1",
        True,
    )
    with pytest.raises(ServerError, match="There is a schedule of that name already. Given: tiny"):
        cluster.schedule(job, CRON)
    assert len(fake.stored["recurringruns"]) == 1


def test_a_schedule_whose_answer_was_lost_is_found_again(fake, hasty, job):
    fake.behave["POST", "recurringruns"] = "store-hang"
    assert hasty.schedule(job, CRON).id == fake.stored["recurringruns"][0]["recurring_run_id"]


@pytest.fixture
def checkout(tmp_path, repository, monkeypatch):
    """A clean checkout with the project's parameters."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("params.yaml", "policy.yaml"):
        (folder / name).write_text((repository / name).read_text())
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        subprocess.run(["git", *identity, *words], cwd=folder, check=True)
    monkeypatch.chdir(folder)
    return folder


def submit(fake, *more):
    images = ["--image-cpu", IMAGES.cpu, "--image-gpu", IMAGES.gpu]
    words = ["submit", "--host", fake.url, "--token", TOKEN, *images, *more]
    return CliRunner().invoke(cli.app, words, catch_exceptions=False)


def test_the_command_traces_the_run_to_commit_data_and_images(fake, checkout):
    result = submit(fake, "--set", "finetune.iterations=40")
    (run,) = fake.stored["runs"]
    assert f"/#/runs/details/{run['run_id']}" in result.output
    tags = dict(line.split(": ", 1) for line in run["description"].splitlines())
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert tags["git"] == head.stdout.strip()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", tags["data"])
    assert (tags["image.cpu"], tags["image.gpu"]) == (IMAGES.cpu, IMAGES.gpu)
    assert '"iterations": 40' in run["runtime_config"]["parameters"]["finetune_parameters"]


def test_a_preset_is_laid_over_the_parameters(fake, checkout, repository):
    presets = ["--preset", "portraits-race", "--folder", str(repository / "presets")]
    submit(fake, *presets, "--set", "finetune.iterations=41")
    (run,) = fake.stored["runs"]
    assert [e["display_name"] for e in fake.stored["experiments"]] == ["portraits-race"]
    told = json.loads(run["runtime_config"]["parameters"]["finetune_parameters"])
    with pytest.raises(ConfigError, match="portraits:bsae: no model of that name"):
        submit(fake, "--set", "models.base=portraits:bsae")
    assert len(fake.stored["runs"]) == 1
    assert (told["finetune"]["align"], told["finetune"]["iterations"]) == (["race"], 41)


def test_untraceable_runs_are_refused_unless_told(fake, checkout):
    (checkout / "more").write_text("x")
    with pytest.raises(ConfigError, match="changes that are in no commit. Given: more"):
        submit(fake)
    with pytest.raises(ConfigError, match="cpu image is not named by its digest.*a:latest"):
        submit(fake, "--image-cpu", "a:latest")
    assert fake.asked == []
    submit(fake, "--allow-dirty", "--allow-unpinned", "--image-cpu", "a:latest")
    assert "git.dirty: true" in fake.stored["runs"][0]["description"]


def test_inside_an_image_the_commit_is_the_images(fake, checkout, monkeypatch):
    shutil.rmtree(checkout / ".git")
    with pytest.raises(ConfigError, match="git does not know this folder"):
        submit(fake)
    monkeypatch.setenv("EVENHAND_REVISION", "0123456789abcdef0123456789abcdef01234567")
    submit(fake)
    assert "git: 0123456789abcdef" in fake.stored["runs"][0]["description"]


def test_a_platforms_mlflow_run_is_kept_and_reaches_the_steps(fake, checkout, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "0123")
    submit(fake)
    (run,) = fake.stored["runs"]
    assert "mlflow.run_id: 0123" in run["description"]
    executors = run["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        given = {one["name"]: one["value"] for one in executor["container"]["env"]}
        assert given["MLFLOW_RUN_ID"] == "0123"
        assert given["MLFLOW_EXPERIMENT_NAME"] == "portraits"


def test_mlflow_knows_the_run_and_the_run_knows_mlflow(fake, checkout, monkeypatch):
    import mlflow

    store = f"sqlite:///{checkout.parent}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    submit(fake)
    client = mlflow.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("portraits").experiment_id
    (known,) = client.search_runs([experiment])
    run = fake.stored["runs"][0]
    assert f"mlflow.run_id: {known.info.run_id}" in run["description"]
    assert known.data.tags["kfp.run_id"] == run["run_id"]
    assert known.data.tags["evenhand.image.gpu"] == IMAGES.gpu
    fake.behave["POST", "runs"] = 403
    with pytest.raises(ServerError, match="may not"):
        submit(fake)
    states = {one.info.status for one in client.search_runs([experiment])}
    assert states == {"RUNNING", "FAILED"}


def test_the_program_prints_one_line_for_a_failure(fake, checkout, repository):
    words = ["status", "r", "--host", fake.url, "--token", "old"]
    code = (
        "import sys; from components import cli; sys.argv = ['evenhand', *sys.argv[1:]]; cli.main()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(repository), "HOME": str(checkout), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert found.returncode == 1
    assert found.stderr.startswith("error: Cannot connect: the token is missing")
    assert len(found.stderr.splitlines()) == 1
