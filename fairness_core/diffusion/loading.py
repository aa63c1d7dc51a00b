"""Read a text-to-image pipeline folder from disk: local, safetensors only, every problem named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import AutoencoderKL, SchedulerMixin, UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from fairness_core.errors import ModelError

__all__ = ["load_components"]

INDEX = "model_index.json"
NETWORKS = ("text_encoder", "vae", "unet")
COMPONENTS = ("tokenizer", *NETWORKS, "scheduler")
CLASSES = {
    "tokenizer": ("CLIPTokenizer", "CLIPTokenizerFast"),
    "text_encoder": ("CLIPTextModel",),
    "vae": ("AutoencoderKL",),
    "unet": ("UNet2DConditionModel",),
}
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)


def load_components(folder: str | Path, *, dtype: torch.dtype) -> dict[str, Any]:
    """Load the tokenizer, the three networks and the scheduler of a pipeline folder.

    Args:
        folder: A folder in the layout of ``StableDiffusionPipeline.save_pretrained``.
        dtype: Type of the networks' weights.

    Returns:
        Component name to object.

    Raises:
        ModelError: The folder, a component or a weight is missing, a file is damaged, a class is
            not Stable Diffusion's, or there are only pickled weights.
    """
    folder = Path(folder)
    index = _read_index(folder)
    _check_classes(folder, index)
    for name in NETWORKS:
        _check_weights(folder / name)
    scheduler_class = _scheduler_class(index["scheduler"][1])
    paths = {name: str(folder / name) for name in COMPONENTS}
    return {
        "tokenizer": _guarded(
            folder / "tokenizer",
            lambda: CLIPTokenizer.from_pretrained(paths["tokenizer"], local_files_only=True),
        ),
        "text_encoder": _network(folder / "text_encoder", CLIPTextModel, dtype=dtype),
        "vae": _network(folder / "vae", AutoencoderKL, torch_dtype=dtype),
        "unet": _network(folder / "unet", UNet2DConditionModel, torch_dtype=dtype),
        "scheduler": _guarded(
            folder / "scheduler",
            lambda: scheduler_class.from_pretrained(paths["scheduler"], local_files_only=True),
        ),
    }


def _read_index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(
            "There is no diffusion model folder",
            given=folder,
            do="give a local folder written by StableDiffusionPipeline.save_pretrained",
        )
    path = folder / INDEX
    if not path.is_file():
        raise ModelError(
            f"The folder has no {INDEX}, so it is not a diffusers pipeline",
            given=folder,
            do="give the folder that holds unet/, vae/, text_encoder/, tokenizer/ and scheduler/",
        )
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{INDEX} is damaged ({error})", given=path, do="fetch the model again"
        ) from error
    if not isinstance(index, dict):
        raise ModelError(f"{INDEX} is not a JSON object", given=path, do="fetch the model again")
    return index


def _check_classes(folder: Path, index: dict[str, Any]) -> None:
    for name in COMPONENTS:
        entry = index.get(name)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if found is None or not (folder / name).is_dir():
            raise ModelError(
                f"The pipeline has no {name}",
                given=folder / name,
                do="use a complete Stable Diffusion pipeline folder",
            )
        accepted = CLASSES.get(name)
        if accepted and found not in accepted:
            raise ModelError(
                f"The pipeline's {name} is a {found}, not a {accepted[0]}",
                given=folder,
                do="use a model of the Stable Diffusion 1.x or 2.x layout",
            )


def _check_weights(folder: Path) -> None:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickled = sorted(p.name for p in folder.glob("*.bin"))
        raise ModelError(
            f"{folder.name} has no safetensors weights"
            + (f", only pickled ones ({', '.join(pickled)})" if pickled else ""),
            given=folder,
            do="convert the model with save_pretrained(..., safe_serialization=True)"
            if pickled
            else "fetch the model again",
        )
    for file in files:
        try:
            with safe_open(file, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError(
                f"A weight file is damaged ({error})", given=file, do="fetch the model again"
            ) from error


def _scheduler_class(name: str) -> Any:
    found = getattr(diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
        raise ModelError(
            "The pipeline's scheduler is none of diffusers' schedulers",
            given=name,
            do="name a scheduler class of the installed diffusers",
        )
    return found


def _guarded(folder: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except LOAD_ERRORS as error:
        raise ModelError(
            f"Could not load {folder.name} ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="fetch the model again, or check that it was written by a compatible version",
        ) from error


def _network(folder: Path, cls: Any, **options: Any) -> torch.nn.Module:
    network, info = _guarded(
        folder,
        lambda: cls.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        ),
    )
    missing = sorted(info["missing_keys"]) + sorted(str(k) for k in info["mismatched_keys"])
    if missing:
        raise ModelError(
            f"{folder.name} lacks {len(missing)} weights, the first of them {missing[0]}",
            given=folder,
            do="fetch the model again; its weights and its config.json do not belong together",
        )
    assert isinstance(network, torch.nn.Module)
    return network
