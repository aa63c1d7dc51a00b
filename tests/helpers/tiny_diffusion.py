"""A random text-to-image pipeline in Stable Diffusion's folder layout, small enough for tests."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
LENGTH = 77
WIDTH = 16
VAE_FACTOR = 4
# Stable Diffusion 1.5's noise schedule, for any scheduler of diffusers.
SD_NOISE: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}


def tiny_tokenizer() -> CLIPTokenizer:
    """Make a tokenizer with one token per character (printable ASCII, lower case) and no merges."""
    characters = sorted(set(string.printable) - set(string.whitespace + string.ascii_uppercase))
    tokens = characters + [character + "</w>" for character in characters] + [START, END]
    vocab = {token: i for i, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=LENGTH)


def tiny_modules(
    *, seed: int = 0, image_size: int = 32
) -> tuple[CLIPTokenizer, CLIPTextModel, AutoencoderKL, UNet2DConditionModel]:
    """Make the networks with random weights; latents have 4 channels and a quarter of the side."""
    tokenizer = tiny_tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=WIDTH,
                intermediate_size=2 * WIDTH,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=LENGTH,
                projection_dim=WIDTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
        vae = AutoencoderKL(
            sample_size=image_size,
            block_out_channels=(8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            norm_num_groups=4,
            layers_per_block=1,
            scaling_factor=0.6,
        )
        unet = UNet2DConditionModel(
            sample_size=image_size // VAE_FACTOR,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            layers_per_block=1,
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=4,
        )
    return tokenizer, text_encoder.eval(), vae.eval(), unet.eval()


def tiny_scheduler() -> DPMSolverMultistepScheduler:
    """Make DPM-Solver++ 2M with Stable Diffusion 1.5's noise schedule."""
    return DPMSolverMultistepScheduler(**SD_NOISE)


def make_tiny_pipeline(folder: str | Path, *, seed: int = 0, image_size: int = 32) -> Path:
    """Write a random pipeline that ``StableDiffusionPipeline`` and ``DiffusionStack`` load.

    Args:
        folder: Where to write; made when missing.
        seed: Chooses the weights. The global generator is left as it was.
        image_size: Side of the images, px, a multiple of 8. Latents are 4 x side/4 x side/4.

    Returns:
        The folder, with every weight in safetensors.
    """
    tokenizer, text_encoder, vae, unet = tiny_modules(seed=seed, image_size=image_size)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=tiny_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)
