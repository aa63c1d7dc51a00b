"""The world's image-text and image-only encoders: a small CLIP and a small DINOv2, two of each.

The ``audit`` pair has another size, another seed and other data order than the ``train`` pair, so
that what the training loss looks at is not what the evaluation looks at.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
)

from fairness_core.portraits import augment
from fairness_core.portraits.contrast import contrast_texts, contrast_views
from fairness_core.portraits.fitting import OnStep, minimise, seeded

__all__ = [
    "Size",
    "build_clip",
    "build_dino",
    "save_clip",
    "save_dino",
    "train_clip",
    "train_dino",
]

Size = Literal["train", "audit"]
IMAGE_SIZE = 32
EMBEDDING = 64
# Width, layers and heads. Patches of 8 px cost a quarter of those of 4 and learn as much per step.
SHAPES: dict[tuple[str, Size], tuple[int, int, int]] = {
    ("clip", "train"): (96, 4, 4),
    ("clip", "audit"): (112, 3, 4),
    ("dino", "train"): (96, 3, 4),
    ("dino", "audit"): (80, 4, 5),
}
PATCH = 8
TEXT_WIDTH, TEXT_LAYERS, TEXT_HEADS = 96, 3, 4
MEAN = STD = (0.5, 0.5, 0.5)


def _shape(kind: str, size: Size) -> dict[str, int]:
    width, layers, heads = SHAPES[kind, size]
    return {
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "patch_size": PATCH,
        "image_size": IMAGE_SIZE,
    }


def build_clip(tokenizer: CLIPTokenizer, size: Size) -> CLIPModel:
    """An untrained CLIP for 32x32 pictures and the tokenizer's vocabulary."""
    ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": TEXT_WIDTH,
        "intermediate_size": 3 * TEXT_WIDTH,
        "num_hidden_layers": TEXT_LAYERS,
        "num_attention_heads": TEXT_HEADS,
        "max_position_embeddings": tokenizer.model_max_length,
        "projection_dim": EMBEDDING,
        **ids,
    }
    shape = _shape("clip", size)
    vision = {
        **shape,
        "intermediate_size": 4 * shape["hidden_size"],
        "projection_dim": EMBEDDING,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=EMBEDDING))


def build_dino(size: Size) -> Dinov2Model:
    """An untrained DINOv2 for 32x32 pictures."""
    return Dinov2Model(Dinov2Config(mlp_ratio=4, **_shape("dino", size)))


def _unit(vectors: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    return functional.normalize(vectors, dim=1)


def _views(
    images: Float[Tensor, "n 3 h w"], generator: torch.Generator, *, strength: float
) -> Float[Tensor, "n 3 h w"]:
    """A random view: small move, mirror, light, softness and noise; skin tones stay apart."""
    n, side = len(images), images.shape[-1]
    zoom = augment.uniform(n, -0.05 * strength, 0.25 * strength, generator).exp()
    shift = augment.uniform(2 * n, -0.06 * strength, 0.06 * strength, generator).reshape(n, 2)
    flip = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    seen = augment.colour(
        images,
        brightness=0.06 * strength,
        contrast=0.08 * strength,
        saturation=0.10 * strength,
        generator=generator,
    )
    soft = augment.blur(seen, augment.uniform(n, 0.3, 1.0, generator))
    share = augment.uniform(n, -1.0, 1.0, generator).clamp(min=0)[:, None, None, None]
    seen = augment.noise(seen + (soft - seen) * share, 0.04 * strength, generator)
    return augment.affine(seen, zoom=zoom, shift=shift, flip=flip, size=side)


def train_clip(
    images: UInt8[np.ndarray, "n 32 32 3"],
    captions: Sequence[str],
    tokenizer: CLIPTokenizer,
    *,
    size: Size,
    seed: int,
    steps: int = 1200,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    on_step: OnStep | None = None,
) -> CLIPModel:
    """Train a CLIP from scratch on pictures and their captions.

    Args:
        images: RGB.
        captions: One each, lower case; ``describe`` makes ones that name more of what is visible.
        tokenizer: The world's tokenizer; its vocabulary sizes the text tower.
        size: ``train`` or ``audit``.
        seed: Decides initial weights, batches and views.
        steps: Updates.
        batch_size: Pairs per update.
        learning_rate: Peak of AdamW's.
        on_step: Progress callback.
    """
    network = seeded(lambda: build_clip(tokenizer, size), seed).train()
    generator = torch.Generator().manual_seed(seed)
    shown = augment.to_unit_range(images)
    known = sorted(set(captions))
    place = {caption: i for i, caption in enumerate(known)}
    which = torch.tensor([place[caption] for caption in captions])
    tokens = torch.tensor(tokenizer(known, padding="max_length", truncation=True)["input_ids"])

    def loss_at(step: int) -> Tensor:
        rows = torch.randint(len(shown), (batch_size,), generator=generator)
        seen = _views(shown[rows], generator, strength=0.6)
        pictures = _unit(network.get_image_features(pixel_values=seen).pooler_output)
        texts = _unit(network.get_text_features(input_ids=tokens[which[rows]]).pooler_output)
        same = (which[rows][:, None] == which[rows][None]).float()
        return contrast_texts(pictures, texts, network.logit_scale.exp().clamp(max=50.0), same)

    minimise(
        network.parameters(), loss_at, steps=steps, learning_rate=learning_rate, on_step=on_step
    )
    return network.eval().requires_grad_(False)


def train_dino(
    images: UInt8[np.ndarray, "n 32 32 3"],
    *,
    size: Size,
    seed: int,
    steps: int = 700,
    batch_size: int = 96,
    learning_rate: float = 2e-3,
    temperature: float = 0.15,
    on_step: OnStep | None = None,
) -> Dinov2Model:
    """Train a DINOv2 from scratch without labels: two views of a picture agree, others do not.

    The unit-length pooled output itself is contrasted (no projection head), since its cosine is
    what the losses and metrics use.

    Args:
        images: RGB.
        size: ``train`` or ``audit``.
        seed: Decides initial weights, batches and views.
        steps: Updates.
        batch_size: Pictures per update, two views each.
        learning_rate: Peak of AdamW's.
        temperature: Of the softmax over cosines.
        on_step: Progress callback.
    """
    network = seeded(lambda: build_dino(size), seed).train()
    generator = torch.Generator().manual_seed(seed)
    shown = augment.to_unit_range(images)

    def loss_at(step: int) -> Tensor:
        rows = torch.randint(len(shown), (batch_size,), generator=generator)
        both = torch.cat([shown[rows], shown[rows]])
        seen = _views(both, generator, strength=1.5)
        return contrast_views(_unit(network(pixel_values=seen).pooler_output), temperature)

    minimise(
        network.parameters(), loss_at, steps=steps, learning_rate=learning_rate, on_step=on_step
    )
    return network.eval().requires_grad_(False)


def save_clip(network: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write a CLIPModel folder: 16-bit weights, configuration, tokenizer, preprocessing."""
    _save(network, folder, "CLIPImageProcessor")
    tokenizer.save_pretrained(folder)


def save_dino(network: Dinov2Model, folder: Path) -> None:
    """Write a Dinov2Model folder: 16-bit weights, configuration, preprocessing."""
    _save(network, folder, "BitImageProcessor")


def _save(network: PreTrainedModel, folder: Path, processor: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    # The configuration keeps saying float32, so a plain from_pretrained computes in 32 bits.
    network.save_pretrained(folder, state_dict=weights)
    side = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    settings = {
        "image_processor_type": processor,
        "do_convert_rgb": True,
        "do_resize": True,
        "size": {"shortest_edge": IMAGE_SIZE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": side,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text)
