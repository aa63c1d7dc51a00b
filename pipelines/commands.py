"""Commands of ``evenhand`` that compile pipelines and run them, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cluster_commands import COMMANDS
from pipelines.commands_shared import Where, arguments_of, chosen_preset, placement_of
from pipelines.options import (
    Capacity,
    Checkpoints,
    GpuLabel,
    Gpus,
    GpuType,
    ImageCpu,
    ImageGpu,
    Inputs,
    Nodes,
    Params,
    Pipeline,
    PolicyFile,
    PresetFolder,
    PresetName,
    Profile,
    Queue,
    Shards,
    Unpinned,
    Values,
)
from pipelines.reproduce import reproduce
from pipelines.run_command import run

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (compile_, lint, lint_manifests, run, reproduce, *COMMANDS):
        app.command(command.__name__.rstrip("_").replace("_", "-"))(command)


def compile_(
    out: Annotated[Path, typer.Argument(help="YAML file to write.")],
    pipeline: Pipeline = "align-and-evaluate",
    profile: Profile = "cpu",
    image_cpu: ImageCpu = "",
    image_gpu: ImageGpu = "",
    shards: Shards = 2,
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
    bare: Annotated[bool, typer.Option(help="Carry no parameter values.")] = False,
    allow_unpinned: Unpinned = False,
) -> None:
    """Write a pipeline as Kubeflow takes it, checked; with these parameters as its defaults."""
    from pipelines.compile import compile_pipeline
    from pipelines.provenance import check_images

    chosen = chosen_preset(folder, preset)
    defaults = {} if bare else arguments_of(pipeline, params, values, inputs, policy, chosen)[0]
    where = Where(queue, gpu_type, gpu_label, capacity, gpus, nodes, checkpoints)
    placement = placement_of(profile, image_cpu, image_gpu, where)
    check_images(placement.images, unpinned=allow_unpinned)
    compile_pipeline(
        pipeline, out, placement, shards=shards, defaults=defaults, unpinned=allow_unpinned
    )
    typer.echo(f"Wrote {out}")


def lint(
    file: Annotated[Path, typer.Argument(help="Compiled pipeline, anybody's.")],
    references_only: Annotated[
        bool, typer.Option(help="Leave out what only our own must have.")
    ] = False,
    allow_unpinned: Unpinned = False,
) -> None:
    """Check a compiled pipeline: references that lead nowhere, images, limits, users, timeouts."""
    from fairness_core.errors import ConfigError
    from pipelines.lint import broken_references, check, read_compiled

    documents = read_compiled(file)
    if not references_only:
        check(documents, unpinned=allow_unpinned)
    elif found := broken_references(documents):
        raise ConfigError("\n  ".join(["The compiled pipeline has problems", *found]))
    typer.echo(f"{file} is sound")


def lint_manifests(
    place: Annotated[
        Path, typer.Argument(help="Folder with a kustomization, or YAML file, rendered.")
    ],
    filled: Annotated[
        bool, typer.Option(help="Refuse values that are still to be filled in (REPLACE).")
    ] = False,
) -> None:
    """Check Kubernetes manifests: schemas, references, rights, limits, network, queues, secrets."""
    from pipelines.manifests import check, read

    objects = read(place)
    check(objects, filled=filled)
    typer.echo(f"{place}: {len(objects.all)} objects are sound")
