"""Rebuild every shipped model of the drawn world from nothing but this source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPTokenizer

from fairness_core.errors import ConfigError
from fairness_core.portraits import base
from fairness_core.portraits.dataset import Captioned, captioned_portraits
from fairness_core.portraits.models import SHIPPED
from fairness_core.portraits.tokens import build_tokenizer
from fairness_core.runtime.artifacts import write_manifest
from fairness_core.runtime.files import atomic_folder
from fairness_core.runtime.logs import get_logger

__all__ = ["build"]

PICTURES = 20_000
VAE_STEPS = 1500
DENOISER_STEPS = 5000
DENOISER_BATCH = 96
REPORT_SECONDS = 15.0

_logger = get_logger("portraits")


def build(destination: Path, *, only: Sequence[str] = SHIPPED) -> None:
    """Draw the world, train its models and write each to ``destination/NAME`` with a manifest.

    About 40 minutes on two cores for all of them.

    Args:
        destination: Where the model folders go; each is replaced in one step when it is ready.
        only: Names of the models to build.

    Raises:
        ConfigError: A name that is not a shipped model.
    """
    unknown = sorted(set(only) - set(SHIPPED))
    if unknown:
        raise ConfigError(
            f"There is no shipped model '{unknown[0]}'", do=f"choose among {', '.join(SHIPPED)}"
        )
    began = time.monotonic()
    _logger.info("Drawing %d captioned pictures", PICTURES)
    world = captioned_portraits(PICTURES, "base")
    makers: dict[str, Callable[[Path], None]] = {
        "base": lambda folder: _base(folder, world),
        "clip": lambda folder: _clip(folder, world, "train"),
        "clip-audit": lambda folder: _clip(folder, world, "audit"),
        "dino": lambda folder: _dino(folder, world, "train"),
        "dino-audit": lambda folder: _dino(folder, world, "audit"),
        "faces": lambda folder: _faces(folder, world),
    }
    for name in only:
        _logger.info("Building %s (%.0f s so far)", name, time.monotonic() - began)
        with atomic_folder(destination / name) as folder:
            makers[name](folder)
            write_manifest(folder, "portraits-model", name=name)
    _logger.info("Built %s in %.0f s", ", ".join(only), time.monotonic() - began)


def _reporter(label: str, steps: int) -> Callable[[int, float], None]:
    """Log the mean loss now and then."""
    began = last = time.monotonic()
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        nonlocal last
        losses.append(loss)
        now = time.monotonic()
        if now - last >= REPORT_SECONDS or step + 1 == steps:
            mean = sum(losses) / len(losses)
            _logger.info(
                "%s: step %d/%d, loss %.4f, %.0f s", label, step + 1, steps, mean, now - began
            )
            last = now
            losses.clear()

    return report


def _tokens(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Int[Tensor, "n t"]:
    length = tokenizer.model_max_length
    found = tokenizer(list(captions), padding="max_length", max_length=length)["input_ids"]
    return torch.tensor(found)


def _pixels(world: Captioned) -> Float[Tensor, "n 3 32 32"]:
    return torch.from_numpy(world.images).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def _base(folder: Path, world: Captioned) -> None:
    images = _pixels(world)
    tokenizer = build_tokenizer(folder / "tokenizer", world.captions)
    vae = base.train_vae(images, steps=VAE_STEPS, on_step=_reporter("autoencoder", VAE_STEPS))
    mean, std = base.encode_all(vae, images)
    scale = float((mean.var() + std.square().mean()).rsqrt())
    vae.register_to_config(scaling_factor=scale)
    text, unet = base.train_denoiser(
        mean * scale,
        std * scale,
        _tokens(tokenizer, world.captions),
        _tokens(tokenizer, [""])[0],
        len(tokenizer),
        steps=DENOISER_STEPS,
        batch_size=DENOISER_BATCH,
        on_step=_reporter("text encoder and U-Net", DENOISER_STEPS),
    )
    base.assemble(folder, tokenizer, text, vae, unet)
