"""What several commands do with their options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairness_core.config import Preset
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
) -> tuple[dict[str, str], str, bool]:
    """Arguments of the pipeline, the run's name, and whether it is tracked."""
    from fairness_core.config import load, load_preset
    from pipelines.compile import arguments, given_inputs, given_policy

    given = given_inputs(pipeline, inputs or [], here=here)
    checked = load_preset(params, preset, values or ()) if preset else load(params, values or ())
    given |= given_policy(policy, checked.attribute_space.names)
    return arguments(pipeline, checked) | given, checked.run.name, checked.run.tracking
