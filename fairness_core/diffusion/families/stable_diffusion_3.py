"""Stable Diffusion 3: two CLIP encoders and T5, a transformer over patches, flow matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers import SD3Transformer2DModel, StableDiffusion3Pipeline
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5TokenizerFast

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.encode import ids_and_mask
from fairness_core.diffusion.families.base import UNET_TARGETS, Family, common_parts, dynamic_shift
from fairness_core.diffusion.families.stable_diffusion_xl import penultimate

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["TRANSFORMER_TARGETS", "StableDiffusion3"]

# Attention that joins image and text has projections of its own for the text.
TRANSFORMER_TARGETS = (*UNET_TARGETS, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
# Tokens of T5 that the stock pipeline reads, and pads with where there is no T5.
T5_TOKENS = 256
LARGEST_SHIFT = 1.16


class StableDiffusion3(Family):
    """CLIP states side by side, padded to T5's width, before T5's; both pooled outputs.

    Guidance is classifier-free, with the empty prompt. T5 may be missing: zeros stand for it then,
    as in the stock pipeline.
    """

    pipeline = StableDiffusion3Pipeline
    components: ClassVar[Mapping[str, Any]] = {
        **common_parts(SD3Transformer2DModel),
        "text_encoder": CLIPTextModelWithProjection,
        "tokenizer_2": CLIPTokenizer,
        "text_encoder_2": CLIPTextModelWithProjection,
        "tokenizer_3": T5TokenizerFast,
        "text_encoder_3": T5EncoderModel,
    }
    optional = frozenset({"tokenizer_3", "text_encoder_3"})
    network = "transformer"
    adapted = ("text_encoder", "text_encoder_2")
    network_targets = TRANSFORMER_TARGETS

    def widths(self, stack: DiffusionStack) -> dict[str, tuple[int, int]]:
        """Sizes that have to agree."""
        first, second = stack.text_encoder.config, stack.text_encoder_2.config
        network = stack.transformer.config
        t5 = stack.text_encoder_3
        return {
            "width of both pooled embeddings and of the transformer's": (
                first.projection_dim + second.projection_dim,
                network.pooled_projection_dim,
            ),
            "width of T5 and of the transformer's conditioning": (
                network.joint_attention_dim if t5 is None else t5.config.d_model,
                network.joint_attention_dim,
            ),
            "latent channels of the VAE and of the transformer's input": (
                stack.vae.config.latent_channels,
                network.in_channels,
            ),
            "channels of the transformer's input and output": (
                network.in_channels,
                network.out_channels or network.in_channels,
            ),
        }

    def encode(self, stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
        """Compute the states and pooled outputs of all the text encoders."""
        device = stack.device
        first, pooled = penultimate(stack.text_encoder, stack.tokenizer, prompts, device)
        second, pooled_2 = penultimate(stack.text_encoder_2, stack.tokenizer_2, prompts, device)
        clip = torch.cat([first, second], dim=-1)
        width = stack.transformer.config.joint_attention_dim
        if stack.text_encoder_3 is None:
            t5 = clip.new_zeros(len(prompts), T5_TOKENS, width)
        else:
            ids, _ = ids_and_mask(stack.tokenizer_3, prompts, device, longest=T5_TOKENS)
            t5 = stack.text_encoder_3(ids)[0]
        states = torch.cat([F.pad(clip, (0, width - clip.shape[-1])), t5.to(clip.dtype)], dim=-2)
        return Conditioning(states, torch.cat([pooled, pooled_2], dim=-1))

    def call(
        self,
        stack: DiffusionStack,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float,
    ) -> Float[Tensor, "n c h w"]:
        """Call the transformer, which cuts the latents into patches itself."""
        del guidance
        output: Tensor = stack.transformer(
            hidden_states=latents,
            timestep=timestep.expand(len(latents)),
            encoder_hidden_states=conditioning.states,
            pooled_projections=conditioning.pooled,
            return_dict=False,
        )[0]
        return output

    def timestep_options(self, stack: DiffusionStack, steps: int) -> dict[str, Any]:
        """Give mu to a scheduler that shifts with the image's size."""
        del steps
        config = stack.scheduler.config
        if not config.get("use_dynamic_shifting"):
            return {}
        _, height, width = self.latent_shape(stack)
        patch = stack.transformer.config.patch_size
        tokens = (height // patch) * (width // patch)
        return {"mu": dynamic_shift(config, tokens, largest=LARGEST_SHIFT)}
