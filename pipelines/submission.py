"""From parameters to a run on a cluster: traced, checked, and known to MLflow on both sides."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fairness_core.errors import EvenhandError
from pipelines.client import Cluster
from pipelines.compile import compile_pipeline
from pipelines.cron import check_cron
from pipelines.job import Job, Started
from pipelines.lint import read_compiled
from pipelines.provenance import check_images, provenance
from pipelines.resources import Placement
from pipelines.server import Uncertain

__all__ = ["Request", "schedule", "submit"]

RUN_ID, TRACKING_URI = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"


@dataclass(frozen=True)
class Request:
    """What is asked for on the command line.

    Attributes:
        pipeline: Its name.
        arguments: All of its parameters.
        experiment: Heading of the run, in kfp and in MLflow.
        tracking: Whether to track.
        placement: Images, profile and cluster.
        shards: Tasks that sample each model's images, and that measure all.
        service_account: Of the pods; empty: the server's default.
        pipeline_root: Folder of the artifacts; empty: the server's default.
        unpinned: Take images without a digest.
        dirty: Take a checkout with changes that are in no commit.
    """

    pipeline: str
    arguments: Mapping[str, str]
    experiment: str
    tracking: bool
    placement: Placement
    shards: int
    service_account: str = ""
    pipeline_root: str = ""
    unpinned: bool = False
    dirty: bool = False


def submit(request: Request, connect: Callable[[], Cluster], checkout: Path) -> Started:
    """Start a run.

    With ``MLFLOW_TRACKING_URI`` set here, the run gets an MLflow run of its own, which the steps'
    runs are put below: that of ``MLFLOW_RUN_ID``, where a platform has set one, else a new one.

    Args:
        request: What is asked for.
        connect: Opens the server, once everything else is known to be sound.
        checkout: Where the commit and the data's hashes are read.

    Raises:
        ConfigError: Unpinned images, a dirty checkout, or a pipeline with problems.
        ServerError: See `pipelines.client.Cluster.submit`.
    """
    tags = _tags(request, checkout)
    _job(request, tags, {})
    cluster = connect()
    run_id, own = _mlflow_run(request, tags)
    environment = {RUN_ID: run_id} if run_id else {}
    if run_id:
        tags["mlflow.run_id"] = run_id
    try:
        started = cluster.submit(_job(request, tags, environment))
    except EvenhandError as error:
        # What may have been started is the exit handler's to end.
        if run_id and own and not isinstance(error, Uncertain):
            _end(run_id, str(error))
        raise
    if run_id:
        _note(run_id, {"kfp.run_id": started.id, "kfp.link": started.link})
    return started


def schedule(
    request: Request, connect: Callable[[], Cluster], checkout: Path, *, name: str, cron: str
) -> Started:
    """Repeat a run; the steps' MLflow runs stand for themselves.

    Raises:
        ConfigError: As `submit`, or a schedule of another form.
        ServerError: See `pipelines.client.Cluster.schedule`.
    """
    check_cron(cron)
    job = _job(request, _tags(request, checkout), {})
    return connect().schedule(dataclasses.replace(job, name=name), cron)


def _tags(request: Request, checkout: Path) -> dict[str, str]:
    images = request.placement.images
    check_images(images, unpinned=request.unpinned)
    tags = provenance(checkout, images, dirty=request.dirty)
    return {"pipeline": request.pipeline, **tags}


def _job(request: Request, tags: Mapping[str, str], environment: Mapping[str, str]) -> Job:
    """The compiled run; variables are no part of what kfp compares for its cache."""
    variables = {"MLFLOW_EXPERIMENT_NAME": request.experiment, **environment}
    if not request.tracking:
        variables["EVENHAND_TRACKING"] = "0"
    cluster = dataclasses.replace(request.placement.cluster, environment=variables)
    placement = dataclasses.replace(request.placement, cluster=cluster)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "pipeline.yaml")
        compile_pipeline(
            request.pipeline, file, placement, shards=request.shards, unpinned=request.unpinned
        )
        documents = read_compiled(file)
    return Job(
        name=f"{request.experiment} {request.pipeline}",
        experiment=request.experiment,
        documents=documents,
        arguments=request.arguments,
        tags=tags,
        service_account=request.service_account,
        pipeline_root=request.pipeline_root,
    )


def _mlflow_run(request: Request, tags: Mapping[str, str]) -> tuple[str, bool]:
    """Id of the pipeline's MLflow run, or nothing; and whether it was made here."""
    given = os.environ.get(RUN_ID, "")
    if given or not request.tracking or not os.environ.get(TRACKING_URI):
        return given, False
    from fairness_core.runtime.pipeline_run import begin_pipeline_run

    marks = {f"evenhand.{key}": value for key, value in tags.items()}
    return begin_pipeline_run(request.experiment, request.pipeline, marks), True


def _end(run_id: str, error: str) -> None:
    from fairness_core.runtime.pipeline_run import end_pipeline_run

    end_pipeline_run(run_id, "FAILED", {"evenhand.error": error[:4000]})


def _note(run_id: str, tags: Mapping[str, str]) -> None:
    from fairness_core.runtime.pipeline_run import note_pipeline_run

    if os.environ.get(TRACKING_URI):
        note_pipeline_run(run_id, tags)
