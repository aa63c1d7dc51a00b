"""The compiled pipeline in processes of its own: the same bytes as the plain command lines."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import yaml
from typer.testing import CliRunner

from components import cli
from fairness_core.config import load
from fairness_core.errors import ArtifactError, ConfigError
from pipelines import local_run
from pipelines.compile import arguments, given_inputs, given_policy
from pipelines.lint import read_compiled
from pipelines.local_results import (
    Expected,
    collect_results,
    expected_tasks,
    keep_shown,
    missing_outputs,
)
from pipelines.local_run import SOURCES, run_here
from tests.components.conftest import CATALOG
from tests.helpers.tiny_world import write_params
from tests.helpers.whole_run import EASY_POLICY, assert_same_run, run_every_step
from tests.pipelines.warm import warm_python

SHARDS = 2
PICTURES = 3 * (2 * 4 + 2 * 2 + 2 * 2)
STEPS = {
    "generate-prompts": 1, "calibrate-classifier": 1, "build-bank": 1, "finetune": 1, "publish": 1,
    "generate-images": SHARDS, "merge-images": 1, "generate-images-2": SHARDS, "merge-images-2": 1,
    "generate-baselines": 1, "measure-images": SHARDS, "evaluate-bias": 1, "report": 1, "gate": 1,
    "finish": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def plain(tmp_path_factory, repository, tiny_world):
    """A folder in which every step ran by its own command line."""
    folder = tmp_path_factory.mktemp("plain")
    world = tiny_world
    path = write_params(
        folder / "params.yaml", repository, world,
        iterations=2, images_per_prompt=4, checkpoint_every=1,
    )  # fmt: skip
    params = yaml.safe_load(path.read_text())
    params["models"] |= {
        "audit_image_text": str(world.image_text),
        "audit_image_self": str(world.image_self),
    }
    (folder / "catalog.csv").write_text(CATALOG)
    (folder / "policy.yaml").write_text(EASY_POLICY)
    params["generate_prompts"] |= {
        "world": str(folder / "catalog.csv"),
        "test_images": 4, "named_images": 2, "scene_images": 2,
    }  # fmt: skip
    params["calibrate_classifier"] |= {"images": 100, "epochs": 1, "audit_epochs": 1}
    params["build_bank"] |= {"images": 8}
    params["generate_images"] |= {"steps": 2, "batch_size": 4}
    params["baselines"]["methods"] = ["intervention"]
    params["measure_images"]["batch_size"] = 8
    params["evaluate_bias"]["bootstrap"] = 100
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    run_every_step(folder)
    return folder


@pytest.fixture(scope="module")
def piped(plain, tmp_path_factory):
    """The same by the compiled pipeline, every task a process: folder, and kfp's tree in it."""
    out = tmp_path_factory.mktemp("piped")
    given = arguments("align-and-evaluate", load(plain / "params.yaml"))
    given |= given_policy(plain / "policy.yaml")
    warm = warm_python(tmp_path_factory.mktemp("warm"), SOURCES)
    with warm as program, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", str(program))
        tree = run_here("align-and-evaluate", given, out, shards=SHARDS)
    return out, tree


def started(repository, out, *more):
    words = ["run", "--runner", "subprocess", "--params", str(repository / "params.yaml")]
    words += ["--policy", str(repository / "policy.yaml"), "--out", str(out), *more]
    return CliRunner().invoke(cli.app, words, catch_exceptions=False)


def test_what_is_not_here_is_named_before_anything_starts(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["--folder", str(repository / "presets"), "--preset", "sd15-gender"]
    with pytest.raises(ConfigError, match="models.base: models/.*build_bank.source: data/fairface"):
        started(repository, tmp_path / "o", *words)
    with pytest.raises(ConfigError, match="portraits:bsae: no model of that name"):
        started(repository, tmp_path / "o", "--set", "models.base=portraits:bsae")
    assert not list(tmp_path.iterdir())


def test_containers_see_no_files_of_this_folder(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_run, "run_here", lambda *_, **__: None)
    words = ["--runner", "docker", "--image", "evenhand:1", "--set", "models.base=models/sd"]
    said = started(repository, tmp_path / "o", *words)
    assert said.exit_code == 0
    assert "lead nowhere in the images: models.base: models/sd. " in said.stderr


@pytest.mark.slow
def test_every_step_ran(piped):
    out, tree = piped
    expected = expected_tasks(read_compiled(out / "pipeline.yaml"))
    found: dict[str, int] = {}
    for task in expected:
        found[task.task] = found.get(task.task, 0) + 1
        assert (tree / task.folder / "executor_output.json").is_file(), task.folder
    assert found == STEPS
    assert missing_outputs(expected, tree) == []


@pytest.mark.slow
def test_everything_is_that_of_the_command_lines(plain, piped):
    out, _ = piped
    assert_same_run(plain, out, pictures=PICTURES)


def outputs_of(tree, task):
    return json.loads((tree / task / "executor_output.json").read_text())["artifacts"]


@pytest.mark.slow
def test_figures_are_on_the_runs_page(piped):
    out, tree = piped
    evaluation = json.loads((out / "metrics/evaluation.json").read_text())
    made = outputs_of(tree, "evaluate-bias")
    shown = made["metrics"]["artifacts"][0]["metadata"]
    assert shown["base.gender.bias"] == evaluation["base"]["gender"]["bias"]
    matrix = made["changes"]["artifacts"][0]["metadata"]["confusionMatrix"]
    titles = [one["displayName"] for one in matrix["annotationSpecs"]]
    assert titles == ["gender=female", "gender=male", "age=young", "age=old"]
    counts = [row["row"] for row in matrix["rows"]]
    gender, age = (sum(map(sum, (row[i : i + 2] for row in counts[i : i + 2]))) for i in (0, 2))
    assert gender == age > 0
    assert sum(map(sum, counts)) == gender + age
    page = (tree / "report" / "page").read_text()
    assert page == (out / "artifacts/report/report.html").read_text()
    assert (tree / "report" / "card").read_text().startswith("---")


@pytest.mark.slow
def test_a_step_that_wrote_nothing_is_found_although_the_run_succeeded(piped, tmp_path):
    out, tree = piped
    expected = expected_tasks(read_compiled(out / "pipeline.yaml"))
    copy = shutil.copytree(tree, tmp_path / "tree")
    shutil.rmtree(copy / "publish")
    shutil.rmtree(copy / "finetune" / "finetuned")
    (copy / "report" / "page").write_text("")
    assert missing_outputs(expected, copy) == [
        "finetune: no finetuned", "publish: it did not run", "report: no page",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_step_that_fails_ends_the_run_with_its_own_message(plain, tmp_path, capfd):
    """In processes that start from nothing, unlike those of the whole run."""
    given = arguments("audit-only", load(plain / "params.yaml"))
    given |= given_policy(plain / "policy.yaml")
    places = {"classifiers": "classifiers", "finetuned": "finetune", "bundle": "bundle"}
    earlier = [f"{name}={plain / 'artifacts' / place}" for name, place in places.items()]
    given |= given_inputs("audit-only", earlier, here=True)
    prompts = json.loads(given["generate_prompts_parameters"])
    prompts["generate_prompts"]["world"] = "nowhere.csv"
    given["generate_prompts_parameters"] = json.dumps(prompts)
    with pytest.raises(ArtifactError, match="The pipeline failed.*generate-prompts"):
        run_here("audit-only", given, tmp_path, shards=1)
    printed = capfd.readouterr().out
    assert "error: " in printed
    assert "nowhere.csv" in printed
    assert "the pipeline ended as FAILED" in printed
    assert not (tmp_path / "artifacts").exists()


def test_a_run_that_failed_shows_what_it_had_finished(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    for name in ("report/folder/report.html", "gate/verdict/verdict.json", "finetune/finetuned/a"):
        (run / name).parent.mkdir(parents=True)
        (run / name).write_text("x")
    (run / "report/executor_output.json").write_text("{}")
    # The gate ends with an error after its verdict is whole; the training was cut off.
    (run / "gate/verdict/manifest.json").write_text("{}")
    (out / "artifacts/finetune").mkdir(parents=True)
    collect_results(run, out)
    assert (out / "artifacts/report/report.html").read_text() == "x"
    assert (out / "artifacts/gate/verdict.json").is_file()
    assert [path.name for path in sorted((out / "artifacts").iterdir())] == ["gate", "report"]


def test_what_is_on_the_page_only_can_be_reused_and_what_is_lost_is_still_found(tmp_path):
    one, task = tmp_path / "evaluate-bias", Expected("evaluate-bias", "evaluate-bias", ("metrics",))
    one.mkdir()
    made = {name: {"artifacts": [{"uri": str(one / name)}]} for name in ("changes", "metrics")}
    (one / "executor_output.json").write_text(json.dumps({"artifacts": made}))
    (one / "metrics").write_text("{}")
    keep_shown(tmp_path)
    assert (one / "changes").read_bytes() == b""
    assert (one / "metrics").read_text() == "{}"
    (one / "metrics").unlink()
    keep_shown(tmp_path)
    assert missing_outputs([task], tmp_path) == ["evaluate-bias: no metrics"]


def test_outputs_of_an_earlier_run_count(tmp_path):
    before, run, out = tmp_path / "before/publish", tmp_path / "run", tmp_path / "out"
    (before / "bundle").mkdir(parents=True)
    (before / "bundle/manifest.json").write_text("{}")
    (before / "executor_output.json").write_text("{}")
    run.mkdir()
    tasks = [Expected("publish", "publish", ("bundle",))]
    assert missing_outputs(tasks, run) == ["publish: it did not run"]
    assert missing_outputs(tasks, run, {"publish": before}) == []
    collect_results(run, out, {"publish": before})
    assert (out / "artifacts/bundle/manifest.json").is_file()


def test_loops_are_unrolled_and_page_only_outputs_left_out(documents):
    expected = {task.folder: task for task in expected_tasks(documents)}
    assert len(expected) == len(STEPS) + 3
    (loop,) = {f.split("-iteration")[0] for f in expected if f.endswith("/generate-images")}
    assert f"{loop}-iteration-1/generate-images" in expected
    one = expected["evaluate-bias"]
    assert one == Expected("evaluate-bias", "evaluate-bias", ("evaluation", "metrics"))
