"""Rebuild every shipped model of the drawn world from nothing but this source."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from fairness_core.errors import ConfigError
from fairness_core.portraits import jobs
from fairness_core.portraits.models import SHIPPED
from fairness_core.runtime.artifacts import write_manifest
from fairness_core.runtime.files import atomic_folder
from fairness_core.runtime.logs import configure, get_logger
from fairness_core.runtime.outputs import check_output

__all__ = ["build"]

KIND = "portraits-model"
_logger = get_logger("portraits")


def build(destination: Path, *, only: Sequence[str] = SHIPPED, processes: int = 2) -> None:
    """Draw the world, train its models and write each to ``destination/NAME`` with a manifest.

    Each model trains on one thread, so that the result does not depend on the machine's size.

    Args:
        destination: Where the model folders go; each is replaced in one step when it is ready.
        only: Names of the models to build.
        processes: Models trained at the same time.

    Raises:
        ArtifactError: A folder may not be replaced, see ``check_output``.
        ConfigError: A name that is not a shipped model.
    """
    unknown = sorted(set(only) - set(SHIPPED))
    if unknown:
        raise ConfigError(
            f"There is no shipped model '{unknown[0]}'", do=f"choose among {', '.join(SHIPPED)}"
        )
    for name in only:
        check_output(destination / name, KIND)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        _logger.info("Drawing %d captioned pictures", jobs.PICTURES)
        jobs.draw_world(work)
        with ProcessPoolExecutor(
            processes, mp_context=get_context("spawn"), initializer=_worker
        ) as pool:
            # The base's text encoder starts as the small CLIP's, and its U-Net needs latents.
            first = ["clip"] if {"base", "clip"} & set(only) else []
            built = {name: pool.submit(jobs.BUILDERS[name], work, work / name) for name in first}
            parts: list[Future[None]] = []
            if "base" in only:
                pool.submit(jobs.train_autoencoder, work).result()
                built["clip"].result()
                parts.append(pool.submit(jobs.train_text_and_unet, work))
                parts.append(pool.submit(jobs.train_decoder, work))
            others = [name for name in only if name not in {"base", *built}]
            built |= {name: pool.submit(jobs.BUILDERS[name], work, work / name) for name in others}
            for name, future in built.items():
                future.result()
                if name in only:
                    _install(work / name, destination / name, began)
            for part in parts:
                part.result()
        if "base" in only:
            jobs.assemble_base(work, work / "base")
            _install(work / "base", destination / "base", began)


def _worker() -> None:
    torch.set_num_threads(1)
    configure("portraits")


def _install(made: Path, place: Path, began: float) -> None:
    with atomic_folder(place) as folder:
        for source in sorted(p for p in made.rglob("*") if p.is_file()):
            target = folder / source.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
        write_manifest(folder, KIND, name=place.name)
    _logger.info("%s is ready after %.0f s", place.name, time.monotonic() - began)
