"""Random CLIP and DINOv2 folders, small enough for tests."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPModel, Dinov2Config, Dinov2Model

from tests.helpers.tiny_diffusion import tiny_tokenizer

SIZE = 32
PREPROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "do_center_crop": True,
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "crop_size": {"height": SIZE, "width": SIZE},
    "size": {"shortest_edge": SIZE},
    "resample": 3,
    "rescale_factor": 1 / 255,
    "image_mean": [0.48, 0.45, 0.40],
    "image_std": [0.27, 0.26, 0.28],
}
LAYERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def write_preprocessor(folder: Path, **changes: object) -> None:
    entries = {k: v for k, v in (PREPROCESSOR | changes).items() if v is not None}
    (folder / "preprocessor_config.json").write_text(json.dumps(entries))


def make_clip(
    folder: Path, *, seed: int = 0, side: int = SIZE, patch: int = 8, dimensions: int = 8
) -> Path:
    """Write a CLIPModel folder with a tokenizer of characters."""
    tokenizer = tiny_tokenizer()
    ids = {
        name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    text = {"vocab_size": len(tokenizer), "intermediate_size": 32, **LAYERS, **ids}
    vision = {"image_size": side, "patch_size": patch, "intermediate_size": 32, **LAYERS}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=dimensions)
        model = CLIPModel(config)
    # As drawn, the weights are so small that all images look alike.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    write_preprocessor(
        folder, crop_size={"height": side, "width": side}, size={"shortest_edge": side}
    )
    return folder


def make_dino(
    folder: Path, *, seed: int = 0, side: int = SIZE, patch: int = 8, shown: int = SIZE
) -> Path:
    """Write a Dinov2Model folder with 16-dimensional vectors, positions for images of ``side`` px.

    Its preprocessor asks for ``shown`` px: published ones have 518 and 224.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Dinov2Model(Dinov2Config(image_size=side, patch_size=patch, mlp_ratio=2, **LAYERS))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    model.save_pretrained(str(folder))
    write_preprocessor(
        folder,
        image_processor_type="BitImageProcessor",
        crop_size={"height": shown, "width": shown},
        size={"shortest_edge": 8 * shown // 7},
    )
    return folder
