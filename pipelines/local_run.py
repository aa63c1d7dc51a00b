"""The compiled pipeline on this machine, by kfp's own runners: in processes, or in containers.

These runners differ from a cluster: they ignore limits, secrets, mounts, retries' waiting and
placement, and end as SUCCESS whatever a step has left out. What every step had to write is
therefore looked up after the run.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fairness_core.errors import ArtifactError, ConfigError
from fairness_core.runtime.artifacts import MANIFEST
from pipelines.compile import compile_pipeline
from pipelines.lint import read_compiled
from pipelines.resources import Cluster, Images, Placement

__all__ = [
    "RESULTS",
    "SOURCES",
    "Expected",
    "collect_results",
    "expected_tasks",
    "missing_outputs",
    "run_here",
]

LOCAL_IMAGE = "evenhand.invalid/python:local"
SOURCES = Path(__file__).resolve().parent.parent
# Where a task's output lies after `dvc repro`, and so after a run here.
RESULTS = {
    ("generate-prompts", "prompts"): "artifacts/prompts",
    ("calibrate-classifier", "classifiers"): "artifacts/classifiers",
    ("calibrate-classifier", "metrics"): "metrics/calibration.json",
    ("build-bank", "bank"): "artifacts/bank",
    ("finetune", "finetuned"): "artifacts/finetune",
    ("finetune", "metrics"): "metrics/finetune.json",
    ("publish", "bundle"): "artifacts/bundle",
    ("merge-images", "images"): "artifacts/images/base",
    ("merge-images-2", "images"): "artifacts/images/aligned",
    ("generate-baselines", "baselines"): "artifacts/baselines",
    ("evaluate-bias", "evaluation"): "artifacts/evaluation",
    ("evaluate-bias", "metrics"): "metrics/evaluation.json",
    ("report", "folder"): "artifacts/report",
    ("gate", "verdict"): "artifacts/gate",
}
# Shown on the run's page only: its content is in the metadata, there is no file.
NO_FILE = "system.ClassificationMetrics"
# What kfp writes of a task that has ended well.
RECORD = "executor_output.json"


@dataclass(frozen=True)
class Expected:
    """A task that has to run: its folder in the run's folder, and the outputs that are files."""

    folder: str
    task: str
    outputs: tuple[str, ...]


def expected_tasks(documents: Sequence[Mapping[str, Any]]) -> list[Expected]:
    """Every task of a compiled pipeline that starts a program, loops unrolled.

    Args:
        documents: From `read_compiled`; its loops go over constant lists.
    """
    spec = documents[0]
    executors = spec["deploymentSpec"]["executors"]

    def walk(component: Mapping[str, Any], above: str) -> Iterator[Expected]:
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            inner = spec["components"][task["componentRef"]["name"]]
            if "dag" in inner:
                items = task.get("parameterIterator", {}).get("items", {}).get("raw")
                many = range(len(json.loads(items))) if items else ()
                for place in [f"{above}{name}-iteration-{i}/" for i in many] or [above]:
                    yield from walk(inner, place)
            elif "container" in executors[inner["executorLabel"]]:
                made = inner.get("outputDefinitions", {}).get("artifacts", {})
                files = [o for o, d in made.items() if d["artifactType"]["schemaTitle"] != NO_FILE]
                yield Expected(f"{above}{name}", name, tuple(files))

    return list(walk(spec["root"], ""))


def missing_outputs(expected: Sequence[Expected], run: Path) -> list[str]:
    """What should lie in a run's folder and does not, or is empty."""
    missing = []
    for task in expected:
        record = run / task.folder / RECORD
        if task.outputs and not record.is_file():
            missing.append(f"{task.folder}: it did not run")
            continue
        for output in task.outputs:
            path = run / task.folder / output
            filled = (
                any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size
            )
            if not filled:
                missing.append(f"{task.folder}: no {output}")
    return missing


def run_here(
    name: str,
    arguments: Mapping[str, str],
    out: Path,
    *,
    runner: Literal["subprocess", "docker"],
    shards: int,
    image: str = LOCAL_IMAGE,
    user: str = "",
    retries: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Run a pipeline to its end.

    Args:
        name: The pipeline.
        arguments: All of its parameters.
        out: Folder for the compiled pipeline, kfp's own tree and, as `dvc repro` places them,
            ``artifacts`` and ``metrics``.
        runner: Processes of this Python, or containers.
        shards: Tasks that sample each model's images.
        image: Of the containers.
        user: UID:GID in the containers; empty: this process's, which owns what kfp prepares.
        retries: Further attempts of a task that fails.
        environment: Further variables of every task.

    Returns:
        Folder of kfp's tree of this run.

    Raises:
        ConfigError: The runner is not there.
        ArtifactError: A step failed, or one that ended well has not written its outputs.
    """
    from kfp import components, local

    out = out.absolute()
    compiled = out / "pipeline.yaml"
    lasting = {
        "EVENHAND_CHECKPOINTS": str(out / "checkpoints"),
        "EVENHAND_ORIGINALS": str(out / "originals"),
    }
    variables = lasting | dict(environment or {})
    cluster = Cluster(claim="", queue="", environment=variables)
    placement = Placement("cpu", Images(image, image), cluster, retries=retries, wait=1)
    compile_pipeline(name, compiled, placement, shards=shards, unpinned=True)
    root = out / "kfp"
    before = set(root.iterdir()) if root.is_dir() else set()
    failure: RuntimeError | None = None
    with _python_path(), warnings.catch_warnings():
        # kfp says of every task which settings it ignores here; the docs say it once.
        warnings.filterwarnings("ignore", message=".*no effect in the current local runner")
        local.init(_runner(runner, user), pipeline_root=str(root), raise_on_error=True)
        try:
            components.load_component_from_file(str(compiled))(**arguments)
        except RuntimeError as error:
            failure = error
    new = sorted(set(root.iterdir()) - before) if root.is_dir() else []
    if len(new) == 1:
        # Also of a run that failed: one that the gate stops still has its report.
        collect_results(new[0], out)
    if failure is not None or len(new) != 1:
        raise ArtifactError(
            f"The pipeline failed: {failure or 'it left no folder'}",
            given=root,
            do="read the failed step's own message above",
        ) from failure
    missing = missing_outputs(expected_tasks(read_compiled(compiled)), new[0])
    if missing:
        raise ArtifactError(
            f"Steps ended well and wrote nothing: {'; '.join(missing)}", given=new[0]
        )
    return new[0]


def _runner(kind: str, user: str) -> Any:
    from kfp import local

    if kind == "subprocess":
        return local.SubprocessRunner(use_venv=False)
    try:
        return local.DockerRunner(
            user=user or f"{os.getuid()}:{os.getgid()}",
            network_mode="none",
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
        )
    except ImportError as error:
        raise ConfigError(
            "The Python package docker is not installed", do="pip install docker"
        ) from error


@contextmanager
def _python_path() -> Iterator[None]:
    """Let the steps' processes find these very sources, and this Python first."""
    added = {
        "PYTHONPATH": str(SOURCES),
        "PATH": str(Path(sys.executable).parent),
    }
    before = {key: os.environ.get(key) for key in added}
    for key, value in added.items():
        os.environ[key] = os.pathsep.join(filter(None, (value, before[key])))
    try:
        yield
    finally:
        for key, old in before.items():
            if old is None:
                del os.environ[key]
            else:
                os.environ[key] = old


def collect_results(run: Path, out: Path) -> None:
    """Show what tasks have finished where `dvc repro` puts it, as links to the same files."""
    for (task, output), place in RESULTS.items():
        source, target = run / task / output, out / place
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        # A manifest is written last: the gate's verdict is whole also where the gate fails.
        if not ((source / MANIFEST).is_file() or (run / task / RECORD).is_file()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        elif source.is_file():
            os.link(source, target)
