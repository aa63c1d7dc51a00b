"""Read a text-to-image pipeline folder from disk: local, safetensors only, every problem named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import SchedulerMixin
from safetensors import SafetensorError, safe_open
from torch.nn import Module

from fairness_core.diffusion.families import Family, family_of
from fairness_core.diffusion.scheduler import scheduler_of
from fairness_core.errors import ModelError
from fairness_core.model_folders import LOAD_ERRORS, load_pretrained, read_json

__all__ = ["load_components", "load_scheduler"]

INDEX = "model_index.json"


def load_components(
    folder: str | Path, *, dtype: torch.dtype, sampler: str | None = None
) -> dict[str, Any]:
    """Load the tokenizers, networks and scheduler of a pipeline folder, and say its family.

    Args:
        folder: In the layout of diffusers' ``save_pretrained``, of a class in ``FAMILIES``.
        dtype: Type of the networks' weights.
        sampler: One of ``SAMPLERS`` in place of the pipeline's own; None: its own.

    Returns:
        Component name to object, None for an optional one that is not there; the family as
        ``family``.

    Raises:
        ConfigError: No such sampler, or it does not suit the model.
        ModelError: The folder, a component or a weight is missing, a file is damaged, the
            pipeline or one of its classes is not supported, or there are only pickled weights.
    """
    folder = Path(folder)
    index = _read_index(folder)
    family = family_of(index)
    present = _check_classes(folder, index, family)
    scheduler = load_scheduler(folder, sampler)
    networks = {name for name in present if issubclass(family.components[name], Module)}
    for name in networks:
        _check_weights(folder / name)
    loaded: dict[str, Any] = dict.fromkeys(family.components)
    for name in present:
        cls, place = family.components[name], folder / name
        if name in networks:
            loaded[name] = load_pretrained(cls, place, name, dtype=dtype)
        else:
            loaded[name] = _local(place, cls)
    return {**loaded, "scheduler": scheduler, "family": family}


def load_scheduler(folder: str | Path, sampler: str | None = None) -> Any:
    """Load a pipeline folder's scheduler alone, or the sampler named, with its noise schedule.

    Args:
        folder: See ``load_components``.
        sampler: One of ``SAMPLERS``; None: the pipeline's own scheduler.

    Raises:
        ConfigError: No such sampler, or it does not suit the model.
        ModelError: There is no scheduler of diffusers, or its file is damaged.
    """
    folder = Path(folder)
    entry = _read_index(folder).get("scheduler")
    name = entry[1] if isinstance(entry, list) and len(entry) == 2 else entry
    own = _local(folder / "scheduler", _scheduler_class(str(name)))
    return own if sampler is None else scheduler_of(sampler, own)


def _read_index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(
            "There is no diffusion model folder",
            given=folder,
            do="give a local folder that a diffusers pipeline's save_pretrained wrote",
        )
    if not (folder / INDEX).is_file():
        raise ModelError(
            f"The folder has no {INDEX}, so it is not a diffusers pipeline",
            given=folder,
            do="give the folder that holds vae/, text_encoder/, tokenizer/ and scheduler/",
        )
    return read_json(folder / INDEX)


def _check_classes(folder: Path, index: dict[str, Any], family: Family) -> list[str]:
    """Check every component's class; gives those that are there, without the scheduler."""
    present = []
    for name in (*family.components, "scheduler"):
        entry = index.get(name)
        found = entry[1] if isinstance(entry, list) and len(entry) == 2 else None
        if found is None and name in family.optional:
            continue
        if found is None or not (folder / name).is_dir():
            raise ModelError(
                f"The pipeline has no {name}",
                given=folder / name,
                do=f"use a complete {family.pipeline.__name__} folder",
            )
        if name == "scheduler":
            continue
        expected = family.components[name].__name__
        # Older transformers called its faster tokenizers so; now there is one class.
        if found.removesuffix("Fast") != expected.removesuffix("Fast"):
            raise ModelError(
                f"The pipeline's {name} is a {found}, not a {expected}",
                given=folder,
                do=f"use a model of the layout of {family.pipeline.__name__}",
            )
        present.append(name)
    return present


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


def _local(folder: Path, cls: Any) -> Any:
    """A tokenizer or a scheduler."""
    try:
        return cls.from_pretrained(str(folder), local_files_only=True)
    except LOAD_ERRORS as error:
        raise ModelError(
            f"Could not load {folder.name} ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="fetch the model again, or check that it was written by a compatible version",
        ) from error
