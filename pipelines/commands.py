"""Commands of ``evenhand`` that compile pipelines and run them, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines.cluster_commands import COMMANDS
from pipelines.commands_shared import arguments_of, placement_of
from pipelines.options import (
    GpuType,
    ImageCpu,
    ImageGpu,
    Inputs,
    Params,
    Pipeline,
    Profile,
    Queue,
    Shards,
    Unpinned,
    Values,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (compile_, lint, run, *COMMANDS):
        app.command(command.__name__.rstrip("_"))(command)


def compile_(
    out: Annotated[Path, typer.Argument(help="YAML file to write.")],
    pipeline: Pipeline = "align-and-evaluate",
    profile: Profile = "cpu",
    image_cpu: ImageCpu = "",
    image_gpu: ImageGpu = "",
    shards: Shards = 2,
    params: Params = Path("params.yaml"),
    values: Values = None,
    inputs: Inputs = None,
    queue: Queue = "evenhand",
    gpu_type: GpuType = "",
    bare: Annotated[bool, typer.Option(help="Carry no parameter values.")] = False,
    allow_unpinned: Unpinned = False,
) -> None:
    """Write a pipeline as Kubeflow takes it, checked; with these parameters as its defaults."""
    from pipelines.compile import compile_pipeline

    defaults = {} if bare else arguments_of(pipeline, params, values, inputs)[0]
    placement = placement_of(profile, image_cpu, image_gpu, queue, gpu_type, {})
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


def run(
    runner: Annotated[Literal["subprocess", "docker"], typer.Option(help="How steps are run.")],
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("artifacts/local"),
    pipeline: Pipeline = "align-and-evaluate",
    image: Annotated[
        str, typer.Option(envvar="EVENHAND_IMAGE_CPU", help="Image of the containers.")
    ] = "",
    user: Annotated[str, typer.Option(help="UID:GID in the containers [default: yours].")] = "",
    retries: Annotated[int, typer.Option(min=0, help="Further attempts of a failed step.")] = 0,
    shards: Shards = 2,
    params: Params = Path("params.yaml"),
    values: Values = None,
    inputs: Inputs = None,
) -> None:
    """Run the compiled pipeline on this machine with kfp's own runners."""
    import os

    from fairness_core.errors import ConfigError
    from pipelines.local_run import LOCAL_IMAGE, run_here

    if runner == "docker" and not image:
        raise ConfigError("Containers need an image", do="give --image, or set EVENHAND_IMAGE_CPU")
    given, name, tracking = arguments_of(pipeline, params, values, inputs)
    environment = {"MLFLOW_EXPERIMENT_NAME": name}
    if tracking:
        store = f"sqlite:///{Path.cwd()}/mlflow.db"
        environment["MLFLOW_TRACKING_URI"] = os.environ.get("MLFLOW_TRACKING_URI") or store
    run_here(
        pipeline,
        given,
        out,
        runner=runner,
        shards=shards,
        image=image or LOCAL_IMAGE,
        user=user,
        retries=retries,
        environment=environment,
    )
    typer.echo(f"Results: {out / 'artifacts'}, {out / 'metrics'}")
