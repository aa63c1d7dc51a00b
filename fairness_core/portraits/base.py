"""The world's base model: a small latent diffusion model in Stable Diffusion's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextModel, CLIPTokenizer

from fairness_core.portraits.encoders import TEXT_WIDTH
from fairness_core.portraits.fitting import seeded
from fairness_core.runtime.seeds import seed_for

__all__ = ["BETA_END", "BETA_START", "SCHEDULE", "assemble", "new_unet", "new_vae"]

BETA_START, BETA_END = 0.00085, 0.012
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": BETA_START,
    "beta_end": BETA_END,
    "beta_schedule": "scaled_linear",
}


def new_vae() -> AutoencoderKL:
    """An untrained autoencoder: 3 x 32 x 32 pixels to 4 x 8 x 8 latents."""
    network = seeded(_vae, seed_for("portraits", "vae"))
    return cast(AutoencoderKL, network.to(memory_format=torch.channels_last))


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 48),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=32,
        mid_block_add_attention=False,
    )


def new_unet() -> UNet2DConditionModel:
    """An untrained U-Net for 8 x 8 latents and the CLIP text tower's states."""
    network = seeded(_unet, seed_for("portraits", "denoiser"))
    return cast(UNet2DConditionModel, network.to(memory_format=torch.channels_last))


def _unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 72),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def assemble(
    folder: Path,
    tokenizer: CLIPTokenizer,
    text: CLIPTextModel,
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
) -> None:
    """Save a StableDiffusionPipeline folder, weights as float16 safetensors."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DPMSolverMultistepScheduler(
            **SCHEDULE, algorithm_type="dpmsolver++", solver_order=2, steps_offset=1
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for network in (vae, unet):
        # Where the parts were loaded from is no business of the model's.
        network.register_to_config(_name_or_path="")
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)
