"""Commands of ``evenhand`` that speak to a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands_shared import Where, arguments_of, chosen_preset, placement_of
from pipelines.options import (
    Account,
    Ca,
    Capacity,
    Checkpoints,
    Dirty,
    GpuLabel,
    Gpus,
    GpuType,
    Host,
    ImageCpu,
    ImageGpu,
    Inputs,
    Namespace,
    Nodes,
    Params,
    Pipeline,
    PolicyFile,
    PresetFolder,
    PresetName,
    Profile,
    Queue,
    Root,
    RunId,
    Shards,
    Timeout,
    Token,
    Unpinned,
    Values,
)

if TYPE_CHECKING:
    from fairness_core.config import Preset
    from pipelines.client import Cluster
    from pipelines.submission import Request

__all__ = ["COMMANDS"]


def _request(
    pipeline: str, profile: str, cpu: str, gpu: str, shards: int, params: Path,
    values: list[str] | None, preset: Preset | None, inputs: list[str] | None, policy: Path,
    where: Where, account: str, root: str, unpinned: bool, dirty: bool,
) -> Request:  # fmt: skip
    from pipelines.submission import Request

    given, name, tracking = arguments_of(pipeline, params, values, inputs, policy, preset)
    placement = placement_of(profile, cpu, gpu, where)
    return Request(
        pipeline=pipeline, arguments=given, experiment=name, tracking=tracking,
        placement=placement, shards=shards, service_account=account, pipeline_root=root,
        unpinned=unpinned, dirty=dirty,
    )  # fmt: skip


def _cluster(
    host: str | None, token: str | None, namespace: str, ca: str | None, timeout: int
) -> Cluster:
    from pipelines.client import Cluster
    from pipelines.server import Endpoint

    return Cluster(Endpoint(host, token, namespace, ca=ca, timeout=timeout))


def submit(
    pipeline: Pipeline = "align-and-evaluate",
    profile: Profile = "gpu",
    image_cpu: ImageCpu = "",
    image_gpu: ImageGpu = "",
    shards: Shards = 4,
    params: Params = Path("params.yaml"),
    values: Values = None,
    preset: PresetName = "",
    folder: PresetFolder = Path("presets"),
    inputs: Inputs = None,
    policy: PolicyFile = Path("policy.yaml"),
    queue: Queue = "evenhand",
    gpu_type: GpuType = "",
    gpu_label: GpuLabel = "nvidia.com/gpu.product",
    capacity: Capacity = "",
    gpus: Gpus = 0,
    nodes: Nodes = 1,
    checkpoints: Checkpoints = "",
    service_account: Account = "",
    pipeline_root: Root = "",
    allow_unpinned: Unpinned = False,
    allow_dirty: Dirty = False,
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Start a run on a cluster and print its id and link; it is never started twice."""
    from pipelines.submission import submit as start

    request = _request(
        pipeline, profile, image_cpu, image_gpu, shards, params, values,
        chosen_preset(folder, preset), inputs, policy,
        Where(queue, gpu_type, gpu_label, capacity, gpus, nodes, checkpoints),
        service_account, pipeline_root, allow_unpinned, allow_dirty,
    )  # fmt: skip
    started = start(request, lambda: _cluster(host, token, namespace, ca, timeout), Path.cwd())
    typer.echo(f"Run:  {started.id}\nName: {started.name}\nLink: {started.link}")


def schedule(
    cron: Annotated[str, typer.Argument(help="Second minute hour day month weekday.")],
    name: Annotated[str, typer.Option(help="Name of the schedule.")],
    pipeline: Pipeline = "audit-only",
    profile: Profile = "gpu",
    image_cpu: ImageCpu = "",
    image_gpu: ImageGpu = "",
    shards: Shards = 4,
    params: Params = Path("params.yaml"),
    values: Values = None,
    preset: PresetName = "",
    folder: PresetFolder = Path("presets"),
    inputs: Inputs = None,
    policy: PolicyFile = Path("policy.yaml"),
    queue: Queue = "evenhand",
    gpu_type: GpuType = "",
    gpu_label: GpuLabel = "nvidia.com/gpu.product",
    capacity: Capacity = "",
    gpus: Gpus = 0,
    nodes: Nodes = 1,
    checkpoints: Checkpoints = "",
    service_account: Account = "",
    pipeline_root: Root = "",
    allow_unpinned: Unpinned = False,
    allow_dirty: Dirty = False,
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Repeat a run, such as the audit of a published bundle every week."""
    from pipelines.submission import schedule as repeat

    request = _request(
        pipeline, profile, image_cpu, image_gpu, shards, params, values,
        chosen_preset(folder, preset), inputs, policy,
        Where(queue, gpu_type, gpu_label, capacity, gpus, nodes, checkpoints),
        service_account, pipeline_root, allow_unpinned, allow_dirty,
    )  # fmt: skip
    server = lambda: _cluster(host, token, namespace, ca, timeout)  # noqa: E731
    made = repeat(request, server, Path.cwd(), name=name, cron=cron)
    typer.echo(f"Schedule: {made.id}\nName:     {made.name}\nLink:     {made.link}")


def status(
    run_id: RunId,
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Print the state of a run and of its tasks; exit status 1 if it failed."""
    state, tasks = _cluster(host, token, namespace, ca, timeout).status(run_id)
    typer.echo(f"Run {run_id}: {state}")
    for task in tasks:
        typer.echo(f"  {task.state:10} {task.name}" + (f": {task.error}" if task.error else ""))
    raise typer.Exit(1 if state == "FAILED" else 0)


def logs(
    run_id: RunId,
    task: Annotated[str, typer.Option(help="Of this task alone, as status names it.")] = "",
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Print what the tasks of a run have printed."""
    for name, text in _cluster(host, token, namespace, ca, timeout).logs(run_id, task):
        typer.echo(f"--- {name}\n{text}")


def cancel(
    run_id: RunId,
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Stop a run."""
    stopped = _cluster(host, token, namespace, ca, timeout).cancel(run_id)
    typer.echo(f"Run {run_id} {'is being stopped' if stopped else 'had already ended'}")


COMMANDS = (submit, schedule, status, logs, cancel)
