"""Configurations of the networks of a run: from their folders, or of the published models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError

__all__ = ["INSIDE", "PUBLISHED", "configuration", "missing"]

# Stable Diffusion 1.5, CLIP ViT-H/14 and DINOv2 ViT-B/14, where these differ from the libraries'
# own defaults.
PUBLISHED: Mapping[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 64,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "vae": {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
        "sample_size": 512,
    },
    "text_encoder": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "max_position_embeddings": 77,
        "vocab_size": 49408,
    },
    "image_text": {
        "projection_dim": 1024,
        "text_config": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
        },
        "vision_config": {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 224,
        },
    },
    "image_self": {"image_size": 224, "patch_size": 14},
}
INSIDE = ("unet", "vae", "text_encoder")


def configuration(models: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """A network's own configuration; None where its folder is not there.

    Raises:
        ConfigError: The base model has no U-Net with one text encoder.
    """
    from fairness_core.portraits.models import PREFIX, resolve
    from fairness_core.runtime.artifacts import read_json

    key = "base" if name in INSIDE else name
    if not models[key].startswith(PREFIX) and not Path(models[key]).is_dir():
        return None
    folder = resolve(models[key])
    place = folder / name if name in INSIDE else folder
    if not (place / "config.json").is_file():
        raise ConfigError(
            "A plan needs a pipeline with a U-Net and one text encoder",
            given=folder,
            do="plan with Stable Diffusion 1.x or 2.x",
        )
    found: dict[str, Any] = read_json(place / "config.json")
    return found


def missing(models: Mapping[str, Any]) -> list[str]:
    """Models whose folders are not there."""
    names = {"base": "unet", "image_text": "image_text", "image_self": "image_self"}
    return [f"models.{key}" for key, name in names.items() if configuration(models, name) is None]
