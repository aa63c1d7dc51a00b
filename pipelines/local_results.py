"""What a run on this machine has written: which tasks had to run, and where their outputs lie."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairness_core.runtime.artifacts import MANIFEST

__all__ = [
    "RESULTS",
    "Expected",
    "collect_results",
    "expected_tasks",
    "keep_shown",
    "missing_outputs",
    "reused_folders",
]

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


def missing_outputs(
    expected: Sequence[Expected], run: Path, reused: Mapping[str, Path] | None = None
) -> list[str]:
    """What should lie in a run's folder and does not, or is empty.

    Args:
        expected: Tasks that had to run.
        run: The run's folder.
        reused: Folders of tasks that an earlier run had done.
    """
    missing = []
    for task in expected:
        place = (reused or {}).get(task.folder, run / task.folder)
        if task.outputs and not (place / RECORD).is_file():
            missing.append(f"{task.folder}: it did not run")
            continue
        for output in task.outputs:
            path = place / output
            filled = (
                any(path.iterdir()) if path.is_dir() else path.is_file() and path.stat().st_size
            )
            if not filled:
                missing.append(f"{task.folder}: no {output}")
    return missing


def collect_results(run: Path, out: Path, reused: Mapping[str, Path] | None = None) -> None:
    """Show what tasks have finished where `dvc repro` puts it, as links to the same files."""
    for (task, output), place in RESULTS.items():
        folder = (reused or {}).get(task, run / task)
        source, target = folder / output, out / place
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        # A manifest is written last: the gate's verdict is whole also where the gate fails.
        if not ((source / MANIFEST).is_file() or (folder / RECORD).is_file()):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        elif source.is_file():
            os.link(source, target)


def keep_shown(run: Path) -> None:
    """Give what is on the run's page only an empty file, or kfp's cache takes it for lost.

    An output that should have been written is found all the same: it is empty.
    """
    for record in run.rglob(RECORD):
        made = json.loads(record.read_text(encoding="utf-8")).get("artifacts", {})
        for one in (one for output in made.values() for one in output["artifacts"]):
            place = Path(one["uri"])
            if place.is_relative_to(run) and not place.exists():
                place.touch()
                if os.getuid() == 0:  # whose the task's own files are
                    folder = place.parent.stat()
                    os.chown(place, folder.st_uid, folder.st_gid)


def reused_folders(root: Path) -> dict[str, Path]:
    """Folders of the tasks that kfp takes from its cache, filled while a pipeline runs."""
    from kfp.local import cache

    found: dict[str, Path] = {}
    store = cache.get_local_cache()
    look_up = store.get

    def remember(key: str) -> Any:
        outputs = look_up(key)
        for made in (outputs or {}).values():
            uri = getattr(made, "uri", "")
            if uri.startswith(f"{root}{os.sep}"):
                # Run, folders of the task, output.
                parts = Path(uri).relative_to(root).parts
                found["/".join(parts[1:-1])] = root.joinpath(*parts[:-1])
        return outputs

    store.get = remember
    return found
