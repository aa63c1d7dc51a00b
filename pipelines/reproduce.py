"""The command ``evenhand reproduce``: a cluster's run once more, on this machine.

A run's description names its commit, its data and its images, and the server keeps its parameters:
with the same four, the same steps give the same bytes on the same kind of processor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipelines.options import Ca, Dirty, Host, Namespace, RunId, Timeout, Token

if TYPE_CHECKING:
    from pipelines.client import Cluster

__all__ = ["Recorded", "check_checkout", "recorded", "reproduce"]


@dataclass(frozen=True)
class Recorded:
    """What a server knows of a run.

    Attributes:
        pipeline: Its name.
        tags: Where it came from: git, git.dirty, data, image.cpu, image.gpu.
        arguments: All parameters of the pipeline.
    """

    pipeline: str
    tags: Mapping[str, str]
    arguments: Mapping[str, str]


def recorded(cluster: Cluster, run_id: str) -> Recorded:
    """Read a run.

    Raises:
        ServerError: No such run, refused or not reached.
        ConfigError: The run was not started by ``evenhand submit``.
    """
    from fairness_core.errors import ConfigError

    description, arguments = cluster.origin(run_id)
    tags = dict(line.split(": ", 1) for line in description.splitlines() if ": " in line)
    if not {"pipeline", "git"} <= set(tags) or not arguments:
        raise ConfigError(
            "This run does not say where it came from",
            given=run_id,
            do="reproduce runs that evenhand submit has started",
        )
    return Recorded(tags.pop("pipeline"), tags, arguments)


def check_checkout(run: Recorded, folder: Path, *, dirty: bool = False) -> None:
    """Say what of a checkout differs from the one that a run was sent from.

    Args:
        run: What is known of it.
        folder: The checkout.
        dirty: Take changes that are in no commit, here or there.

    Raises:
        ConfigError: Another commit, other data, or changes.
    """
    from fairness_core.errors import ConfigError
    from pipelines.provenance import provenance
    from pipelines.resources import Images

    here = provenance(folder, Images("", ""), dirty=dirty)
    if here["git"] != run.tags["git"]:
        raise ConfigError(
            "The run was sent from another commit",
            given=f"here {here['git'][:12]}, the run {run.tags['git'][:12]}",
            do=f"git checkout {run.tags['git']}",
        )
    if run.tags.get("git.dirty") and not dirty:
        raise ConfigError(
            "The run was sent from a checkout with changes that are in no commit",
            do="what they were is not known; give --allow-dirty to go on without them",
        )
    if here.get("data") != run.tags.get("data"):
        raise ConfigError(
            "The run knew other data",
            given=f"dvc.lock here: {here.get('data')}, the run's: {run.tags.get('data')}",
            do="restore dvc.lock, then dvc pull",
        )


def reproduce(
    run_id: RunId,
    runner: Annotated[
        Literal["docker", "subprocess"],
        typer.Option(help="The run's own image, or processes of this Python."),
    ] = "docker",
    image: Annotated[str, typer.Option(help="docker: another image [default: the run's].")] = "",
    memory: Annotated[str, typer.Option(help="docker: memory of each container, as 4g.")] = "",
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("artifacts/reproduced"),
    show: Annotated[bool, typer.Option(help="Print what would be run, and run nothing.")] = False,
    allow_dirty: Dirty = False,
    host: Host = None,
    token: Token = None,
    namespace: Namespace = "",
    ca: Ca = None,
    timeout: Timeout = 30,
) -> None:
    """Run a cluster's run again here: its commit, data, image and parameters.

    Without tracking. The other way round needs no command: `evenhand submit` at the same commit.
    """
    from pipelines.client import Cluster
    from pipelines.containers import Containers
    from pipelines.local_run import run_here
    from pipelines.server import Endpoint

    run = recorded(Cluster(Endpoint(host, token, namespace, ca=ca, timeout=timeout)), run_id)
    check_checkout(run, Path.cwd(), dirty=allow_dirty)
    chosen = image or run.tags["image.cpu"]
    typer.echo(f"Pipeline: {run.pipeline}\nCommit:   {run.tags['git']}")
    typer.echo(f"Image:    {chosen if runner == 'docker' else 'none, processes of this Python'}")
    if show:
        return
    run_here(
        run.pipeline,
        run.arguments,
        out,
        shards=2,
        containers=Containers(chosen, memory=memory) if runner == "docker" else None,
        environment={"EVENHAND_TRACKING": "0"},
    )
    for name in ("finetune", "bundle", "evaluation"):
        _show_hash(name, out / "artifacts" / name)
    typer.echo(f"Results: {out / 'artifacts'}, {out / 'metrics'}")


def _show_hash(name: str, folder: Path) -> None:
    """SHA-256 of an artifact's manifest, which holds those of its files: compare it."""
    from fairness_core.runtime.artifacts import MANIFEST, sha256_file

    if (folder / MANIFEST).is_file():
        typer.echo(f"{name}: sha256:{sha256_file(folder / MANIFEST)}")
