"""A random pipeline of every supported class, in its own folder layout, small enough for tests."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from fairness_core.diffusion import DiffusionStack
from tests.helpers.tiny_diffusion import SD_NOISE, WIDTH, tiny_tokenizer

SIDE = 8  # of the latents; images have four times as much
T5_LENGTH = 24
PROJECTED = 12
LATENTS_4 = {"latent_channels": 4, "scaling_factor": 0.6}
# SD 3 and FLUX: more channels, a shift, and no convolutions between encoder and latents.
LATENTS_16 = {
    "latent_channels": 16,
    "scaling_factor": 0.4,
    "shift_factor": 0.15,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}


def make_tiny(name: str, folder: str | Path) -> Path:
    """Write the pipeline ``name`` of ``TINY``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        pipeline = TINY[name]()
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    return Path(folder)


def copied(stack: DiffusionStack) -> DiffusionStack:
    """A stack whose networks can be changed; the VAE is shared."""
    parts = {
        name: part if name == "vae" else copy.deepcopy(part) for name, part in stack.parts.items()
    }
    return DiffusionStack(
        **parts, scheduler=copy.deepcopy(stack.scheduler), family=copy.copy(stack.family)
    )


def _clip(cls: Any, **changes: Any) -> Any:
    tokenizer = tiny_tokenizer()
    settings = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": PROJECTED,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return cls(CLIPTextConfig(**settings | changes))


def _t5() -> tuple[T5TokenizerFast, T5EncoderModel]:
    letters = [(letter, -3.0) for letter in "abcdefghijklmnopqrstuvwxyz,."]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = T5TokenizerFast(vocab=special + letters, extra_ids=0, model_max_length=T5_LENGTH)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=2 * WIDTH + 4,
        d_kv=4,
        d_ff=32,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return tokenizer, T5EncoderModel(config)


def _vae(**latents: Any) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=4 * SIDE,
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        layers_per_block=1,
        **latents,
    )


def _unet(**changes: Any) -> UNet2DConditionModel:
    settings: dict[str, Any] = {
        "sample_size": SIDE,
        "block_out_channels": (8, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": (1, 2),
        "norm_num_groups": 4,
        "use_linear_projection": True,
    }
    return UNet2DConditionModel(**settings | changes)


def _stable_diffusion_2() -> StableDiffusionPipeline:
    """Version 2.1: another activation, linear projections, heads per block, v-prediction."""
    return StableDiffusionPipeline(
        vae=_vae(**LATENTS_4),
        text_encoder=_clip(CLIPTextModel, hidden_act="gelu"),
        tokenizer=tiny_tokenizer(),
        unet=_unet(),
        scheduler=DDIMScheduler(
            **SD_NOISE, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def _stable_diffusion_xl(*, force_zeros: bool = True) -> StableDiffusionXLPipeline:
    second = 8
    return StableDiffusionXLPipeline(
        vae=_vae(**LATENTS_4),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection, hidden_size=second, hidden_act="gelu"),
        tokenizer_2=tiny_tokenizer(),
        unet=_unet(
            cross_attention_dim=WIDTH + second,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + PROJECTED,
            transformer_layers_per_block=(1, 2),
        ),
        scheduler=EulerDiscreteScheduler(**SD_NOISE, timestep_spacing="leading"),
        force_zeros_for_empty_prompt=force_zeros,
        add_watermarker=False,
    )


def _stable_diffusion_3(*, t5: bool = True, **changes: Any) -> StableDiffusion3Pipeline:
    tokenizer, encoder = _t5()
    return StableDiffusion3Pipeline(
        vae=_vae(**LATENTS_16),
        text_encoder=_clip(CLIPTextModelWithProjection),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection, hidden_act="gelu"),
        tokenizer_2=tiny_tokenizer(),
        text_encoder_3=encoder if t5 else None,
        tokenizer_3=tokenizer if t5 else None,
        transformer=SD3Transformer2DModel(
            sample_size=SIDE,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH + 4,
            caption_projection_dim=16,
            pooled_projection_dim=2 * PROJECTED,
            pos_embed_max_size=SIDE,
            **changes,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def _flux(*, distilled: bool = False) -> FluxPipeline:
    """FLUX.1 dev, or schnell: no guidance to be told, and times that are not shifted."""
    tokenizer, encoder = _t5()
    shifts = {"base_shift": 0.5, "max_shift": 1.15}
    return FluxPipeline(
        vae=_vae(**LATENTS_16),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=tiny_tokenizer(),
        text_encoder_2=encoder,
        tokenizer_2=tokenizer,
        transformer=FluxTransformer2DModel(
            in_channels=64,
            num_layers=2,
            num_single_layers=2,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH + 4,
            pooled_projection_dim=WIDTH,
            guidance_embeds=not distilled,
            axes_dims_rope=(2, 2, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=not distilled, shift=1.0 if distilled else 3.0, **shifts
        ),
    )


TINY: dict[str, Callable[[], Any]] = {
    "sd2": _stable_diffusion_2,
    "sdxl": _stable_diffusion_xl,
    "sdxl-encoded-empty": functools.partial(_stable_diffusion_xl, force_zeros=False),
    "sd3": _stable_diffusion_3,
    "sd3-without-t5": functools.partial(_stable_diffusion_3, t5=False),
    # 3.5 medium: normalised queries and keys, a second attention in the first blocks.
    "sd3.5": functools.partial(_stable_diffusion_3, qk_norm="rms_norm", dual_attention_layers=(0,)),
    "flux": _flux,
    "flux-schnell": functools.partial(_flux, distilled=True),
}
