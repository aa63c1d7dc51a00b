"""Shapes of the published models that the presets name, for plans where no folder is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PHOTO", "PUBLISHED"]

# Stable Diffusion 1.5; CLIP ViT-H/14 and DINOv2 ViT-B/14 of the training, ViT-bigG/14 and
# ViT-g/14 of the audit: where these differ from the libraries' own defaults.
PUBLISHED: Mapping[str, dict[str, Any]] = {
    # Of diffusers' PNDMScheduler.
    "scheduler": {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "steps_offset": 1,
        "skip_prk_steps": True,
        "set_alpha_to_one": False,
    },
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
    "image_self": {"image_size": 518, "patch_size": 14},
    "audit_image_text": {
        "projection_dim": 1280,
        "text_config": {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 20,
        },
        "vision_config": {
            "hidden_size": 1664,
            "intermediate_size": 8192,
            "num_hidden_layers": 48,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 224,
        },
    },
    "audit_image_self": {
        "hidden_size": 1536,
        "num_hidden_layers": 40,
        "num_attention_heads": 24,
        "use_swiglu_ffn": True,
        "image_size": 518,
        "patch_size": 14,
    },
}
PHOTO = 224  # px, side of what the published encoders and the paper's classifier see
