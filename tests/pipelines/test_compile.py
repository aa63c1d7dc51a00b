"""Compiled pipelines: bytes, wiring, parameters, placement."""

from __future__ import annotations

import importlib
import json
import os

import pytest
import yaml
from google.protobuf import json_format
from kfp import dsl
from typer.testing import CliRunner

from components import cli
from components.generate_prompts.component import generate_prompts
from components.task import policy_file
from fairness_core.config import load
from fairness_core.errors import ConfigError
from pipelines.compile import arguments, compile_pipeline, given_inputs, given_policy
from pipelines.lint import check, read_compiled
from pipelines.resources import PROFILES, Cluster, Images, Placement
from tests.conftest import REPOSITORY
from tests.pipelines.conftest import IMAGES
from tests.pipelines.wiring import dvc_edges, dvc_stages, pipeline_edges

GOLDEN = REPOSITORY / "tests" / "pipelines" / "golden"


def test_the_compiled_files_are_the_golden_ones(compiled):
    """After a change on purpose: WRITE_GOLDEN=1 python -m pytest tests/pipelines."""
    write = os.environ.get("WRITE_GOLDEN") == "1"
    for path in compiled.values():
        if write:
            GOLDEN.mkdir(exist_ok=True)
            (GOLDEN / path.name).write_text(path.read_text())
        assert path.read_text() == (GOLDEN / path.name).read_text(), path.name
    assert not write, "golden files were written"
    assert {path.name for path in compiled.values()} == {p.name for p in GOLDEN.iterdir()}


def test_compiling_again_gives_the_same_bytes(compiled, tmp_path):
    again = tmp_path / "again.yaml"
    cluster = Cluster(gpu_type="NVIDIA-A100-SXM4-80GB")
    compile_pipeline("align-and-evaluate", again, Placement("gpu", IMAGES, cluster))
    assert again.read_bytes() == compiled["align-and-evaluate", "gpu"].read_bytes()


def test_our_pipelines_pass_our_lint(compiled):
    for path in compiled.values():
        check(read_compiled(path))


def test_the_pipeline_is_dvc_yaml_edge_for_edge(compiled):
    stages = dvc_stages(REPOSITORY / "dvc.yaml")
    edges, nodes = pipeline_edges(read_compiled(compiled["align-and-evaluate", "cpu"])[0])
    assert edges == dvc_edges(stages)
    assert nodes == set(stages)


def test_the_audit_is_the_end_of_the_run(compiled):
    whole, _ = pipeline_edges(read_compiled(compiled["align-and-evaluate", "gpu"])[0])
    audit, nodes = pipeline_edges(read_compiled(compiled["audit-only", "gpu"])[0])
    steps = {node for node in nodes if not node.startswith("importer")}
    assert {(a, b) for a, b in audit if not a.startswith("importer")} == {
        (a, b) for a, b in whole if {a, b} <= steps
    }
    assert "finetune" not in nodes


def test_tasks_read_the_parameters_that_dvc_names():
    """But run.name and run.tracking, which decide no result and come by the environment."""
    for name, entry in dvc_stages(REPOSITORY / "dvc.yaml").items():
        module = importlib.import_module(f"components.{name.split('@')[0]}.component")
        started = {"run.device", "run.seed", "run.threads"}
        assert set(module.READS) == {p for p in entry["params"] if p != "run"} | started, name


def test_a_changed_value_changes_its_readers_alone(repository):
    path = repository / "params.yaml"
    before = arguments("align-and-evaluate", load(path))
    for override, readers in (
        ("finetune.learning_rate=0.001", {"finetune", "publish"}),
        ("evaluate_bias.bootstrap=200", {"evaluate_bias"}),
        ("measure_images.batch_size=8", {"measure_images"}),
        ("run.name=other", set()),
        ("generate_images.steps=3", {"generate_images", "generate_baselines"}),
        ("baselines.methods=[intervention]", {"generate_baselines"}),
    ):
        after = arguments("align-and-evaluate", load(path, [override]))
        changed = {
            name.removesuffix("_parameters") for name in after if after[name] != before[name]
        }
        assert changed == readers, override


def test_numbers_reach_the_task_to_the_last_digit(repository):
    params = load(repository / "params.yaml", ["run.seed=9007199254740993"])
    given = json.loads(arguments("align-and-evaluate", params)["finetune_parameters"])
    assert given["run"]["seed"] == 9007199254740993
    assert given["finetune"] == params.section("finetune")


def test_pure_steps_are_cached_and_others_not(documents):
    for name in ("finish", "gate", "report"):
        assert not PROFILES["gpu"][name].pure
    inside = documents[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    cached = {name for name, task in inside.items() if task.get("cachingOptions")}
    loops = {name for name in inside if name.startswith("for-loop")}
    assert set(inside) - cached - loops == {"gate", "report"}
    assert not documents[0]["root"]["dag"]["tasks"]["finish"].get("cachingOptions")


def test_training_is_placed_on_gpus_and_kept_safe(documents):
    spec, platform = documents
    container = spec["deploymentSpec"]["executors"]["exec-finetune"]["container"]
    assert container["image"] == IMAGES.gpu
    assert container["resources"]["accelerator"]["resourceType"] == "nvidia.com/gpu"
    assert container["resources"]["accelerator"]["resourceCount"] == "1"
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-finetune"]
    assert placed["nodeSelector"]["labels"] == {
        "evenhand.dev/pool": "gpu",
        "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    }
    assert {"nvidia.com/gpu", "cloud.google.com/gke-spot"} <= {
        one["key"] for one in placed["tolerations"]
    }
    shared = {"volumeName": "shm", "mountPath": "/dev/shm", "medium": "Memory", "sizeLimit": "16Gi"}
    assert placed["emptyDirMounts"] == [shared]
    assert placed["securityContext"]["runAsUser"] == "10001"
    assert placed["podMetadata"]["labels"] == {
        "app.kubernetes.io/part-of": "evenhand",
        "evenhand.dev/step": "finetune",
        "kueue.x-k8s.io/queue-name": "evenhand",
    }
    assert placed["secretAsEnv"][0]["secretName"] == "evenhand-credentials"
    assert placed["pvcMount"][0]["mountPath"] == "/workspace"
    task = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]["finetune"]
    assert task["retryPolicy"]["maxRetryCount"] == 10
    assert task["retryPolicy"]["backoffFactor"] == 2


def executors(placement):
    """Two tasks placed as steps of the run, without the rest of it."""

    @dsl.pipeline(name="two")
    def two():
        placement.apply(generate_prompts(parameters="{}"), "finetune", "Train")
        placement.apply(generate_prompts(parameters="{}"), "generate_images", "Sample")

    containers = two.pipeline_spec.deployment_spec["executors"]
    placed = two.platform_spec.platforms["kubernetes"]
    placed = json_format.MessageToDict(placed)["deploymentSpec"]["executors"]
    names = ("exec-generate-prompts", "exec-generate-prompts-2")
    one, other = (json_format.MessageToDict(containers)[name]["container"] for name in names)
    return one, placed[names[0]], other


def variables(container):
    return {one["name"]: one["value"] for one in container["env"]}


def test_several_gpus_in_one_pod():
    cluster = Cluster(
        gpu_type="a100", gpu_label="karpenter.k8s.aws/instance-gpu-name", capacity="spot",
        checkpoints="s3://bucket/checkpoints",
    )  # fmt: skip
    training, placed, sampling = executors(Placement("gpu", IMAGES, cluster, gpus=4))
    assert training["resources"]["accelerator"]["resourceCount"] == "4"
    assert training["resources"]["resourceCpuLimit"] == "32"
    assert training["resources"]["resourceMemoryLimit"] == "256Gi"
    assert variables(training)["EVENHAND_PROCESSES"] == "4"
    assert variables(training)["EVENHAND_CHECKPOINTS"] == "s3://bucket/checkpoints"
    assert sampling["resources"]["accelerator"]["resourceCount"] == "1"
    assert "EVENHAND_PROCESSES" not in variables(sampling)
    assert placed["nodeSelector"]["labels"] == {
        "evenhand.dev/pool": "gpu",
        "evenhand.dev/capacity": "spot",
        "karpenter.k8s.aws/instance-gpu-name": "a100",
    }


@pytest.mark.parametrize("place", ["/tmp/x", "nope", "s3:/b/c", "s3://b", "gs:///b", "file:///x"])
def test_checkpoints_are_kept_in_an_object_store_or_refused_at_once(place):
    with pytest.raises(ConfigError, match=f"Given: {place}. What to do: write s3://BUCKET/FOLDER"):
        Placement("gpu", IMAGES, Cluster(checkpoints=place))
    Placement("gpu", IMAGES, Cluster(checkpoints="gs://bucket/a/b"))


def test_gpus_cannot_be_chosen_where_there_are_none():
    for chosen in ({"gpu_type": "a100"}, {"capacity": "spot"}):
        with pytest.raises(ConfigError, match="cpu has no GPU nodes.*--gpu-type and --capacity"):
            Placement("cpu", IMAGES, Cluster(**chosen))
        Placement("gpu", IMAGES, Cluster(**chosen))


def test_several_nodes_are_followed_from_a_small_pod():
    follower, placed, sampling = executors(Placement("gpu", IMAGES, gpus=8, nodes=2))
    assert follower["image"] == IMAGES.cpu
    assert "accelerator" not in follower["resources"]
    plan = json.loads(variables(follower)["EVENHAND_TRAINJOB"])
    assert (plan["nodes"], plan["gpus"], plan["image"]) == (2, 8, IMAGES.gpu)
    assert "nodeSelector" not in placed
    assert int(placed["activeDeadlineSeconds"]) == plan["seconds"]
    paths = {one["name"]: one["fieldPath"] for one in placed["fieldPathAsEnv"]}
    assert paths["EVENHAND_RUN"] == "metadata.labels['pipeline/runid']"
    assert "EVENHAND_TRAINJOB" not in variables(sampling)


def test_steps_without_gpus_stay_off_the_gpu_pool(documents):
    spec, platform = documents
    placed = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    names = ("generate-prompts", "publish", "evaluate-bias", "report", "finish")
    for label in (f"exec-{name}" for name in names):
        container = spec["deploymentSpec"]["executors"][label]["container"]
        assert container["image"] == IMAGES.cpu
        assert "accelerator" not in container["resources"]
        assert "nodeSelector" not in placed[label]


def test_defaults_are_carried_on_request(repository, tmp_path):
    given = arguments("align-and-evaluate", load(repository / "params.yaml"))
    given |= given_policy(repository / "policy.yaml")
    out = tmp_path / "p.yaml"
    compile_pipeline("align-and-evaluate", out, Placement("cpu", IMAGES), defaults=given)
    inputs = read_compiled(out)[0]["root"]["inputDefinitions"]["parameters"]
    assert {name: entry["defaultValue"] for name, entry in inputs.items()} == given
    assert yaml.safe_load(out.read_text().partition("---")[0])


def test_what_cannot_be_compiled_is_one_error(tmp_path):
    good = Placement("cpu", IMAGES)
    with pytest.raises(ConfigError, match="no such pipeline.*audit-only"):
        compile_pipeline("align", tmp_path / "a.yaml", good)
    with pytest.raises(ConfigError, match="at least one shard"):
        compile_pipeline("audit-only", tmp_path / "a.yaml", good, shards=0)
    with pytest.raises(ConfigError, match=r"ends in \.yaml.*What to do: write .*a\.yaml"):
        compile_pipeline("audit-only", tmp_path / "a.json", good)
    with pytest.raises(ConfigError, match="no such profile"):
        Placement("tpu", IMAGES)
    loose = Placement("cpu", Images("evenhand:latest", "evenhand:latest"))
    with pytest.raises(ConfigError, match=r"not named by its digest: 'evenhand:latest'"):
        compile_pipeline("audit-only", tmp_path / "a.yaml", loose)
    assert not list(tmp_path.iterdir())


def test_compiling_without_images_names_the_option(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    for name in ("EVENHAND_IMAGE_CPU", "EVENHAND_IMAGE_GPU"):
        monkeypatch.delenv(name, raising=False)
    out = str(tmp_path / "a.yaml")
    for more, said in (
        ([], "cpu image is not named. Given: nothing.*--image-cpu or EVENHAND_IMAGE_CPU"),
        (["--allow-unpinned"], "cpu image is not named. Given: nothing"),
        (["--image-cpu", "a:1"], "not named by its digest. Given: a:1.*--allow-unpinned"),
        (["--image-cpu", IMAGES.cpu, "--profile", "gpu"], "--image-gpu or EVENHAND_IMAGE_GPU"),
    ):
        with pytest.raises(ConfigError, match=said) as caught:
            CliRunner().invoke(cli.app, ["compile", out, *more], catch_exceptions=False)
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def compiled_by_command(repository, tmp_path, monkeypatch, *more):
    monkeypatch.chdir(repository)
    images = ["--image-cpu", IMAGES.cpu, "--image-gpu", IMAGES.gpu]
    words = ["compile", str(tmp_path / "a.yaml"), *images, *more]
    return CliRunner().invoke(cli.app, words, catch_exceptions=False)


def test_a_model_that_cannot_be_is_refused_before_anything_is_written(
    repository, tmp_path, monkeypatch
):
    with pytest.raises(ConfigError, match="portraits:bsae: no model of that name ships; did you"):
        compiled_by_command(
            repository, tmp_path, monkeypatch, "--set", "models.base=portraits:bsae"
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_relative_paths_are_a_warning_since_images_do_not_hold_them(
    repository, tmp_path, monkeypatch
):
    told = {
        "models.base": "models/sd",
        "models.detector": "/workspace/models/pack",
        "models.image_self": f"org/dino@{'0' * 40}",
        "build_bank.source": "fairface:data/fairface",
    }
    words = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    said = compiled_by_command(repository, tmp_path, monkeypatch, *words)
    assert said.exit_code == 0
    (line,) = said.stderr.splitlines()
    assert line.startswith("warning: relative paths lead nowhere in the images: ")
    assert "models.base: models/sd; build_bank.source: data/fairface. " in line
    assert "/workspace/models/sd" in line
    assert compiled_by_command(repository, tmp_path, monkeypatch).stderr == ""


def test_artifacts_of_earlier_runs_are_named_one_and_all():
    given = ["bundle=s3://a/b", "classifiers=s3://a/c", "finetuned=s3://a/f"]
    assert given_inputs("audit-only", given)["bundle_uri"] == "s3://a/b"
    assert given_inputs("align-and-evaluate", []) == {}
    with pytest.raises(ConfigError, match="--input classifiers=URI"):
        given_inputs("audit-only", given[:1])
    with pytest.raises(ConfigError, match="give no --input"):
        given_inputs("align-and-evaluate", given)


def test_the_policy_goes_along_as_text_and_is_sound(repository, tmp_path):
    file = repository / "policy.yaml"
    with policy_file(given_policy(file)["policy"]) as copy:
        assert copy.read_bytes() == file.read_bytes()
    bad = tmp_path / "policy.yaml"
    bad.write_text("version: 1\nrules: {beauty: 0.1}\nwaivers: []\n")
    with pytest.raises(ConfigError, match="beauty"):
        given_policy(bad)
    with pytest.raises(ConfigError, match="policy"):
        given_policy(tmp_path / "none.yaml")
