"""What several commands do with their options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fairness_core.config import Params, Preset
    from pipelines.resources import Placement

__all__ = ["Where", "arguments_of", "chosen_preset", "placement_of"]


@dataclass(frozen=True)
class Where:
    """Options of the command line that say where and how large."""

    queue: str
    gpu_type: str
    gpu_label: str
    capacity: str
    gpus: int
    nodes: int
    checkpoints: str


def placement_of(profile: str, cpu: str, gpu: str, where: Where) -> Placement:
    """Images, profile and cluster; without GPUs the one image does for all steps."""
    from pipelines import resources

    cluster = resources.Cluster(
        queue=where.queue,
        gpu_type=where.gpu_type,
        gpu_label=where.gpu_label,
        capacity=where.capacity,
        checkpoints=where.checkpoints,
    )
    images = resources.Images(cpu, gpu or (cpu if profile == "cpu" else ""))
    return resources.Placement(profile, images, cluster, gpus=where.gpus, nodes=where.nodes)


def chosen_preset(folder: Path, name: str) -> Preset | None:
    """The preset of that name; none for an empty one."""
    from fairness_core.config import find_preset

    return find_preset(folder, name) if name else None


def arguments_of(
    pipeline: str,
    params: Path,
    values: list[str] | None,
    inputs: list[str] | None,
    policy: Path,
    preset: Preset | None,
    *,
    here: bool = False,
    contained: bool = True,
) -> tuple[dict[str, str], str, bool]:
    """Arguments of the pipeline, the run's name, and whether it is tracked.

    Args:
        pipeline: Its name.
        params: Parameter file.
        values: Laid over it and the preset.
        inputs: ``NAME=URI`` each.
        policy: The gate's.
        preset: Laid over the file.
        here: The pipeline runs on this machine.
        contained: Its steps see an image's files, and not those that are here.

    Raises:
        ConfigError: The parameters have problems, name a model that there cannot be or, where
            steps see the files here, one that is not here.
    """
    from components.places import check_places
    from fairness_core.config import load, load_preset
    from pipelines.compile import arguments, given_inputs, given_policy, steps_of

    given = given_inputs(pipeline, inputs or [], here=here)
    checked = load_preset(params, preset, values or ()) if preset else load(params, values or ())
    given |= given_policy(policy, checked.attribute_space.names)
    check_places(checked, *(() if contained else steps_of(pipeline)))
    if contained:
        _warn_of_relative(checked, steps_of(pipeline))
    return arguments(pipeline, checked) | given, checked.run.name, checked.run.tracking


def _warn_of_relative(params: Params, steps: tuple[str, ...]) -> None:
    """Steps in a container start in a folder of the image's, not in this one."""
    from components.places import opened_places
    from fairness_core.runtime.hub import is_hub_id
    from pipelines.resources import WORKSPACE

    relative = [
        named
        for named in opened_places(params, steps)
        # A folder that is here under the name of a model of the hub is fetched there.
        if not named.path.is_absolute() and not is_hub_id(str(named.path))
    ]
    if relative:
        typer.echo(
            f"warning: relative paths lead nowhere in the images: "
            f"{'; '.join(map(str, relative))}. What to do: give absolute paths, in the workspace "
            f"(such as {WORKSPACE}/models/{relative[0].path.name}) or in images of your own",
            err=True,
        )
