"""The compiled pipeline on this machine, by kfp's own runners: in processes, or in containers.

These runners differ from a cluster: they ignore limits, secrets, mounts and placement, and end as
SUCCESS whatever a step has left out. What every step had to write is therefore looked up after the
run.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from fairness_core.errors import ArtifactError
from fairness_core.runtime.logs import get_logger
from pipelines.compile import compile_pipeline
from pipelines.containers import Containers, Ended, explain, noted
from pipelines.lint import read_compiled
from pipelines.local_results import (
    collect_results,
    expected_tasks,
    keep_shown,
    missing_outputs,
    reused_folders,
)
from pipelines.resources import Cluster, Images, Placement, lasting

__all__ = ["SOURCES", "run_here"]

LOCAL_IMAGE = "evenhand.invalid/python:local"
SOURCES = Path(__file__).resolve().parent.parent


def run_here(
    name: str,
    arguments: Mapping[str, str],
    out: Path,
    *,
    shards: int,
    containers: Containers | None = None,
    reuse: bool = False,
    retries: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Path:
    """Run a pipeline to its end.

    Args:
        name: The pipeline.
        arguments: All of its parameters.
        out: Folder for the compiled pipeline, kfp's own tree and, as `dvc repro` places them,
            ``artifacts`` and ``metrics``.
        shards: Tasks that sample each model's images, and that measure all.
        containers: Run tasks in these; None: in processes of this Python.
        reuse: Take what an earlier run in this folder made of the same parameters in the same
            image; containers alone, since processes have no image that says what code ran.
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
    compiled, root = out / "pipeline.yaml", out / "kfp"
    variables = lasting(str(out)) | dict(environment or {})
    if containers is not None:
        # The image's id enters what kfp compares, so that a name that moved on repeats the work.
        variables |= containers.environment | {"EVENHAND_IMAGE": containers.image_id()}
        containers.prepare(root, out / "workspace")
    image = containers.image if containers else LOCAL_IMAGE
    cluster = Cluster(claim="", queue="", environment=variables)
    placement = Placement("cpu", Images(image, image), cluster, retries=retries, wait=1)
    compile_pipeline(name, compiled, placement, shards=shards, unpinned=True)
    before = set(root.iterdir()) if root.is_dir() else set()
    failure: RuntimeError | None = None
    attempts: AbstractContextManager[list[Ended]] = noted() if containers else nullcontext([])
    with _python_path(), warnings.catch_warnings(), attempts as ended:
        # kfp says of every task which settings it ignores here; the docs say it once.
        warnings.filterwarnings("ignore", message=".*no effect in the current local runner")
        runner = (
            containers.runner(out / "workspace")
            if containers
            else local.SubprocessRunner(use_venv=False)
        )
        reuse = reuse and containers is not None
        local.init(runner, str(root), enable_caching=reuse, cache_root=str(out / "reuse"))
        reused = reused_folders(root) if reuse else {}
        try:
            components.load_component_from_file(str(compiled))(**arguments)
        except RuntimeError as error:
            failure = error
    new = sorted(set(root.iterdir()) - before) if root.is_dir() else []
    if len(new) == 1:
        # Also of a run that failed: one that the gate stops still has its report.
        collect_results(new[0], out, reused)
        if reuse:
            keep_shown(new[0])
    reasons = explain(ended, containers.memory) if containers else []
    if failure is not None or len(new) != 1:
        raise ArtifactError(
            f"The pipeline failed: {'; '.join([str(failure or 'it left no folder'), *reasons])}",
            given=root,
            do=(
                "give containers more --memory, or the step smaller batches"
                if any("out of memory" in reason for reason in reasons)
                else "read the failed step's own message above"
            ),
        ) from failure
    if reasons:
        get_logger("run").warning(f"tried again: {'; '.join(reasons)}")
    missing = missing_outputs(expected_tasks(read_compiled(compiled)), new[0], reused)
    if missing:
        raise ArtifactError(
            f"Steps ended well and wrote nothing: {'; '.join(missing)}", given=new[0]
        )
    return new[0]


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
