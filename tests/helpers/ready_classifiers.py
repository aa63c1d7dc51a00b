"""Tiny random transformers image classifiers, as somebody might publish them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    Dinov2Config,
    Dinov2ForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

LAYERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT = {"image_size": 32, "patch_size": 8, "intermediate_size": 32, **LAYERS}


def _network(kind: str, labels: dict[str, object]) -> torch.nn.Module:
    if kind == "vit":
        return ViTForImageClassification(ViTConfig(**VIT, **labels))
    if kind == "dinov2":
        return Dinov2ForImageClassification(
            Dinov2Config(image_size=28, patch_size=14, mlp_ratio=2, **LAYERS, **labels)
        )
    if kind == "swin":
        return SwinForImageClassification(
            SwinConfig(
                image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[1, 2],
                window_size=4, **labels,
            )
        )  # fmt: skip
    return ConvNextForImageClassification(
        ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, **labels)
    )


def write_ready(
    folder: Path, labels: Sequence[str], *, kind: str = "vit", size: int = 32, seed: int = 0
) -> Path:
    """Write ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``."""
    names = dict(enumerate(labels))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(
            kind, {"id2label": names, "label2id": {name: i for i, name in names.items()}}
        )
        with torch.no_grad():
            for parameter in network.parameters():
                # As drawn, the weights are so small that all images look alike.
                parameter.mul_(3).add_(0.05 * torch.randn(parameter.shape))
    network.save_pretrained(str(folder))
    (folder / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "ViTImageProcessor",
                "do_normalize": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": [0.48, 0.45, 0.40],
                "image_std": [0.27, 0.26, 0.28],
                "resample": 3 if kind == "dinov2" else 2,
                "rescale_factor": 1 / 255,
                "size": {"height": size, "width": size},
            }
        )
    )
    return folder
