"""The trainings of one rebuild; each reads and writes files in a working folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from fairness_core.portraits import base
from fairness_core.portraits.base_training import (
    encode_all,
    refine_decoder,
    train_denoiser,
    train_vae,
)
from fairness_core.portraits.dataset import Captioned, captioned_portraits
from fairness_core.portraits.describe import describe
from fairness_core.portraits.detector import export_detector, train_detector
from fairness_core.portraits.embedder import export_embedder, save_embedder, train_embedder
from fairness_core.portraits.encoders import Size, save_clip, save_dino, train_clip, train_dino
from fairness_core.portraits.people import drawn_people
from fairness_core.portraits.tokens import build_tokenizer
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.seeds import seed_for

__all__ = [
    "BUILDERS",
    "PICTURES",
    "assemble_base",
    "draw_world",
    "train_autoencoder",
    "train_decoder",
    "train_text_and_unet",
]

PICTURES = 20_000
VAE_STEPS = 1500
DECODER_STEPS = 2200
DENOISER_STEPS = 3700
NAMING = 0.5
PEOPLE = 480
REPORT_SECONDS = 15.0

_logger = get_logger("portraits")


def _reporter(label: str) -> Callable[[int, float], None]:
    """Log the mean loss now and then."""
    began = last = time.monotonic()
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        nonlocal last
        losses.append(loss)
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            mean = sum(losses) / len(losses)
            _logger.info("%s: step %d, loss %.4f, %.0f s", label, step + 1, mean, now - began)
            last = now
            losses.clear()

    return report


def draw_world(work: Path) -> None:
    """Draw the pictures that every model learns from, and learn the tokenizer."""
    world = captioned_portraits(PICTURES, "base", naming=NAMING)
    np.savez(
        work / "world.npz",
        images=world.images,
        captions=np.asarray(world.captions),
        labels=world.labels,
        boxes=world.boxes,
        landmarks=world.landmarks,
        present=world.present,
    )
    build_tokenizer(work / "tokenizer", world.captions)


def _world(work: Path) -> Captioned:
    with np.load(work / "world.npz", allow_pickle=False) as found:
        return Captioned(
            images=found["images"],
            captions=tuple(str(c) for c in found["captions"]),
            labels=found["labels"],
            boxes=found["boxes"],
            landmarks=found["landmarks"],
            present=found["present"],
        )


def _tokenizer(work: Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)


def _pixels(world: Captioned) -> Float[Tensor, "n 3 32 32"]:
    return torch.from_numpy(world.images).permute(0, 3, 1, 2).float().div(127.5).sub(1.0)


def _tokens(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Int[Tensor, "n t"]:
    length = tokenizer.model_max_length
    found = tokenizer(list(captions), padding="max_length", max_length=length)["input_ids"]
    return torch.tensor(found)


def train_autoencoder(work: Path) -> None:
    """Write the autoencoder and every picture's latent."""
    images = _pixels(_world(work))
    vae = train_vae(images, steps=VAE_STEPS, on_step=_reporter("autoencoder"))
    mean, std = encode_all(vae, images)
    vae.register_to_config(scaling_factor=float((mean.var() + std.square().mean()).rsqrt()))
    vae.save_pretrained(work / "autoencoder")
    save_file({"mean": mean, "std": std}, work / "latents.safetensors")


def train_decoder(work: Path) -> None:
    """Refine the autoencoder's decoder."""
    vae = AutoencoderKL.from_pretrained(work / "autoencoder", local_files_only=True)
    latents = load_file(work / "latents.safetensors")
    refined = refine_decoder(
        vae.to(memory_format=torch.channels_last),
        _pixels(_world(work)),
        latents["mean"],
        latents["std"],
        steps=DECODER_STEPS,
        on_step=_reporter("decoder"),
    )
    refined.save_pretrained(work / "refined")


def train_text_and_unet(work: Path) -> None:
    """Train the U-Net, and with it the text encoder, which starts as that of the small CLIP."""
    scale = AutoencoderKL.from_pretrained(
        work / "autoencoder", local_files_only=True
    ).config.scaling_factor
    latents, tokenizer = load_file(work / "latents.safetensors"), _tokenizer(work)
    clip = CLIPModel.from_pretrained(work / "clip", local_files_only=True, dtype=torch.float32)
    text = clip.text_model.requires_grad_(True)
    unet = base.new_unet()
    train_denoiser(
        text,
        unet,
        latents["mean"] * scale,
        latents["std"] * scale,
        _tokens(tokenizer, _world(work).captions),
        _tokens(tokenizer, [""])[0],
        steps=DENOISER_STEPS,
        on_step=_reporter("text encoder and U-Net"),
    )
    text.save_pretrained(work / "text")
    unet.save_pretrained(work / "unet")


def assemble_base(work: Path, folder: Path) -> None:
    """Put the parts of the base model together in Stable Diffusion's layout."""
    base.assemble(
        folder,
        _tokenizer(work),
        CLIPTextModel.from_pretrained(work / "text", local_files_only=True),
        AutoencoderKL.from_pretrained(work / "refined", local_files_only=True),
        UNet2DConditionModel.from_pretrained(work / "unet", local_files_only=True),
    )


def _clip(work: Path, folder: Path, size: Size) -> None:
    """The training CLIP has learnt the planted biases, as CLIPs have. The audit's has not.

    One that expects them marks a model down for being fair: it gave drawings of the held-out
    occupations 0.656 with the base's classes and 0.610 with even ones.
    """
    tokenizer = _tokenizer(work)
    if size == "audit":
        world = captioned_portraits(PICTURES, "clip-audit", naming=NAMING, even=True)
    else:
        world = _world(work)
    rng = np.random.default_rng(seed_for("portraits", "clip-captions", size))
    network = train_clip(
        world.images,
        describe(world.captions, world.labels, world.present, share=0.8, rng=rng),
        tokenizer,
        size=size,
        seed=seed_for("portraits", "clip", size),
        on_step=_reporter(f"clip {size}"),
    )
    save_clip(network, tokenizer, folder)


def _dino(work: Path, folder: Path, size: Size) -> None:
    network = train_dino(
        _world(work).images,
        size=size,
        seed=seed_for("portraits", "dino", size),
        on_step=_reporter(f"dino {size}"),
    )
    save_dino(network, folder)


def _faces(work: Path, folder: Path) -> None:
    """A pack as insightface loads it: a detector and an embedder, and the embedder's weights."""
    world = _world(work)
    detector = train_detector(
        world.images,
        world.boxes,
        world.landmarks,
        world.present,
        seed=seed_for("portraits", "detector"),
        on_step=_reporter("detector"),
    )
    folder.mkdir(parents=True)
    export_detector(detector, folder / "det_portraits.onnx")
    people = drawn_people(PEOPLE, 6, "embedder")
    embedder = train_embedder(
        people.images,
        people.landmarks,
        people.groups,
        seed=seed_for("portraits", "embedder"),
        on_step=_reporter("embedder"),
    )
    export_embedder(embedder, folder / "w112_portraits.onnx")
    save_embedder(embedder, folder / "embedder")


BUILDERS: dict[str, Callable[[Path, Path], None]] = {
    "faces": _faces,
    "clip": partial(_clip, size="train"),
    "clip-audit": partial(_clip, size="audit"),
    "dino": partial(_dino, size="train"),
    "dino-audit": partial(_dino, size="audit"),
}
