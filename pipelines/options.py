"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Account",
    "Ca",
    "Capacity",
    "Checkpoints",
    "Dirty",
    "GpuLabel",
    "GpuType",
    "Gpus",
    "Host",
    "ImageCpu",
    "ImageGpu",
    "Inputs",
    "Namespace",
    "Nodes",
    "Params",
    "Pipeline",
    "PolicyFile",
    "PresetFolder",
    "PresetName",
    "Profile",
    "Queue",
    "Root",
    "RunId",
    "Shards",
    "Timeout",
    "Token",
    "Unpinned",
    "Values",
]

Pipeline = Annotated[str, typer.Option(help="align-and-evaluate or audit-only.")]
Profile = Annotated[str, typer.Option(help="cpu or gpu: pools and sizes of the steps.")]
ImageCpu = Annotated[
    str, typer.Option(envvar="EVENHAND_IMAGE_CPU", help="NAME@sha256:DIGEST of the CPU image.")
]
ImageGpu = Annotated[
    str, typer.Option(envvar="EVENHAND_IMAGE_GPU", help="NAME@sha256:DIGEST of the GPU image.")
]
Shards = Annotated[
    int, typer.Option(min=1, help="Tasks that sample each model's images, and that measure all.")
]
Params = Annotated[Path, typer.Option(help="Parameter file.")]
PresetName = Annotated[
    str, typer.Option("--preset", help="Name of a preset, see `evenhand presets` [default: none].")
]
PresetFolder = Annotated[Path, typer.Option("--folder", help="Folder of presets.")]
Values = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="May repeat.")
]
PolicyFile = Annotated[Path, typer.Option(help="Policy of the gate; its text goes with the run.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option("--input", metavar="NAME=URI", help="Artifact of an earlier run; may repeat."),
]
Unpinned = Annotated[bool, typer.Option(help="Take images that are not named by their digest.")]
Dirty = Annotated[bool, typer.Option(help="Take a checkout with changes that are in no commit.")]
Queue = Annotated[str, typer.Option(help="Kueue's local queue; empty: none.")]
GpuType = Annotated[str, typer.Option(help="GPU of the nodes, as their label names it.")]
GpuLabel = Annotated[
    str, typer.Option(help="That label; pools that start from nothing know their provider's only.")
]
Capacity = Annotated[str, typer.Option(help="spot or on-demand GPU nodes; empty: either.")]
Gpus = Annotated[
    int, typer.Option(min=0, help="GPUs of a training pod, a process each; 0: the profile's.")
]
Nodes = Annotated[
    int, typer.Option(min=1, help="Training pods; from 2 on a TrainJob of Kubeflow's Trainer.")
]
Checkpoints = Annotated[
    str, typer.Option(help="Object-store folder of checkpoints; empty: the workspace's.")
]
Host = Annotated[
    str | None, typer.Option(envvar="KF_PIPELINES_ENDPOINT", help="Address [default: in-cluster].")
]
Token = Annotated[
    str | None,
    typer.Option(envvar="EVENHAND_KFP_TOKEN", show_envvar=True, help="Bearer token."),
]
Namespace = Annotated[str, typer.Option(help="Namespace, on servers with several users.")]
Ca = Annotated[str | None, typer.Option(help="Certificates that the server's is checked by.")]
Timeout = Annotated[int, typer.Option(min=1, help="Seconds for each request.")]
Account = Annotated[str, typer.Option(help="Service account of the pods.")]
Root = Annotated[str, typer.Option(help="Object-store folder of the artifacts.")]
RunId = Annotated[str, typer.Argument(help="Id that submit has printed.")]
