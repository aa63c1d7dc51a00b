"""The command ``evenhand run``: every step here, by DVC or as the compiled pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.commands_shared import arguments_of, chosen_preset
from pipelines.options import (
    Inputs,
    Params,
    Pipeline,
    PolicyFile,
    PresetFolder,
    PresetName,
    Shards,
    Values,
)

if TYPE_CHECKING:
    from fairness_core.config import Preset
    from pipelines.containers import Containers

__all__ = ["run"]

# Options that one kind of runner alone has, by their parameter's name.
DVC_ALONE = {"keep": "--keep", "show": "--show"}
KFP_ALONE = {
    "out": "--out",
    "pipeline": "--pipeline",
    "image": "--image",
    "user": "--user",
    "memory": "--memory",
    "network": "--network",
    "reuse": "--reuse",
    "retries": "--retries",
    "shards": "--shards",
    "inputs": "--input",
    "policy": "--policy",
}


def run(
    context: typer.Context,
    preset: PresetName = "",
    runner: Annotated[
        Literal["dvc", "subprocess", "docker"],
        typer.Option(help="A DVC experiment, or kfp's own runners of the compiled pipeline."),
    ] = "dvc",
    values: Values = None,
    params: Params = Path("params.yaml"),
    folder: PresetFolder = Path("presets"),
    keep: Annotated[
        bool, typer.Option(help="dvc: run here and leave the preset's values in params.yaml.")
    ] = False,
    show: Annotated[bool, typer.Option(help="dvc: print the command and run nothing.")] = False,
    out: Annotated[Path, typer.Option(help="kfp: folder of the run.")] = Path("artifacts/local"),
    pipeline: Pipeline = "align-and-evaluate",
    image: Annotated[
        str, typer.Option(envvar="EVENHAND_IMAGE_CPU", help="docker: image of the containers.")
    ] = "",
    user: Annotated[
        str, typer.Option(help="docker: UID:GID in the containers [default: yours; root's: 10001].")
    ] = "",
    memory: Annotated[
        str, typer.Option(help="docker: memory of each container, as 4g [default: no limit].")
    ] = "",
    network: Annotated[
        str, typer.Option(help="docker: network of the containers, to track on a server.")
    ] = "none",
    reuse: Annotated[
        bool, typer.Option(help="docker: take what an earlier run in --out made of the same.")
    ] = False,
    retries: Annotated[int, typer.Option(min=0, help="kfp: further attempts of a step.")] = 0,
    shards: Shards = 2,
    inputs: Inputs = None,
    policy: PolicyFile = Path("policy.yaml"),
) -> None:
    """Run every step, with a preset over params.yaml if one is named.

    With dvc the run takes place in a folder of DVC's own; params.yaml, artifacts and metrics here
    stay as they are until `dvc exp apply`.
    """
    from fairness_core.errors import ConfigError

    _refuse(context, runner, KFP_ALONE if runner == "dvc" else DVC_ALONE)
    chosen = chosen_preset(folder, preset)
    if runner == "dvc":
        from pipelines.dvc_run import run_by_dvc

        raise typer.Exit(run_by_dvc(params, chosen, values or (), keep=keep, show=show))
    containers = None
    if runner == "docker":
        from pipelines.containers import Containers

        containers = Containers(image, user, memory, network)
    elif user or memory or reuse or network != "none":
        raise ConfigError(
            "Processes here have no user, memory limit, network or image of their own",
            do="leave out --user, --memory, --network and --reuse, or choose --runner docker",
        )
    _by_kfp(
        pipeline, params, chosen, values, inputs, policy, out,
        containers=containers, reuse=reuse, retries=retries, shards=shards,
    )  # fmt: skip


def _refuse(context: typer.Context, runner: str, others: dict[str, str]) -> None:
    """An option that this runner would ignore is an error."""
    from fairness_core.errors import ConfigError

    given = []
    for name, option in others.items():
        source = context.get_parameter_source(name)
        # A value of the environment is there for all runners.
        if source is not None and source.name == "COMMANDLINE":
            given.append(option)
    if given:
        raise ConfigError(
            f"The runner {runner} has no {', '.join(given)}",
            do="leave it out, or choose another --runner",
        )


def _by_kfp(
    pipeline: str,
    params: Path,
    preset: Preset | None,
    values: list[str] | None,
    inputs: list[str] | None,
    policy: Path,
    out: Path,
    *,
    containers: Containers | None,
    reuse: bool,
    retries: int,
    shards: int,
) -> None:
    import os

    from fairness_core.errors import ConfigError
    from pipelines.local_run import run_here

    if containers and not containers.image:
        raise ConfigError("Containers need an image", do="give --image, or set EVENHAND_IMAGE_CPU")
    given, name, tracking = arguments_of(
        pipeline, params, values, inputs, policy, preset,
        here=True, contained=containers is not None,
    )  # fmt: skip
    environment = {"MLFLOW_EXPERIMENT_NAME": name}
    server = os.environ.get("MLFLOW_TRACKING_URI", "")
    if tracking and containers is None:
        environment["MLFLOW_TRACKING_URI"] = server or f"sqlite:///{Path.cwd()}/mlflow.db"
    elif tracking and server and containers and containers.network != "none":
        environment["MLFLOW_TRACKING_URI"] = server
    elif tracking:
        typer.echo("Not tracked: containers need a server, MLFLOW_TRACKING_URI, and --network.")
    run_here(
        pipeline,
        given,
        out,
        shards=shards,
        containers=containers,
        reuse=reuse,
        retries=retries,
        environment=environment,
    )
    typer.echo(f"Results: {out / 'artifacts'}, {out / 'metrics'}")
