"""FLUX.1: CLIP's pooled output, T5's states, a transformer on packed latents, flow matching."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from diffusers import FluxPipeline, FluxTransformer2DModel
from jaxtyping import Float, Num
from torch import Tensor
from transformers import CLIPTextModel, T5EncoderModel, T5TokenizerFast

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.encode import ids_and_mask
from fairness_core.diffusion.families.base import Family, common_parts, dynamic_shift
from fairness_core.diffusion.families.stable_diffusion_3 import TRANSFORMER_TARGETS

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["Flux"]

T5_TOKENS = 512
LARGEST_SHIFT = 1.15
# The transformer's tokens are squares of so many latents a side, laid out along the channels.
PACKED = 2
# The transformer multiplies its times by this.
TIMES = 1000


class Flux(Family):
    """T5's states and CLIP's pooled output; the guidance is an input of the network.

    FLUX.1-dev was distilled to take g as an input: there is no empty prompt and no second call,
    and g = 1 is fed like any other. FLUX.1-schnell takes no guidance at all and ignores g. With
    CLIP adapted and T5 not, the gradient comes back through the pooled vector alone.
    """

    pipeline = FluxPipeline
    components: ClassVar[Mapping[str, Any]] = {
        **common_parts(FluxTransformer2DModel),
        "text_encoder": CLIPTextModel,
        "tokenizer_2": T5TokenizerFast,
        "text_encoder_2": T5EncoderModel,
    }
    network = "transformer"
    network_targets = TRANSFORMER_TARGETS
    guided = False

    def widths(self, stack: DiffusionStack) -> dict[str, tuple[int, int]]:
        """Sizes that have to agree."""
        network = stack.transformer.config
        return {
            "width of CLIP and of the transformer's pooled embedding": (
                stack.text_encoder.config.hidden_size,
                network.pooled_projection_dim,
            ),
            "width of T5 and of the transformer's conditioning": (
                stack.text_encoder_2.config.d_model,
                network.joint_attention_dim,
            ),
            "latent channels of the VAE, four times, and of the transformer's input": (
                stack.vae.config.latent_channels * PACKED**2,
                network.in_channels,
            ),
            "channels of the transformer's input and output": (
                network.in_channels,
                network.out_channels or network.in_channels,
            ),
        }

    def encode(self, stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
        """Compute T5's states and CLIP's pooled output."""
        ids, _ = ids_and_mask(stack.tokenizer, prompts, stack.device)
        pooled = stack.text_encoder(ids).pooler_output
        ids, _ = ids_and_mask(stack.tokenizer_2, prompts, stack.device, longest=T5_TOKENS)
        return Conditioning(stack.text_encoder_2(ids)[0], pooled)

    def call(
        self,
        stack: DiffusionStack,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float,
    ) -> Float[Tensor, "n c h w"]:
        """Pack the latents, call the transformer with the guidance, and unpack what it says."""
        n, _, height, width = latents.shape
        rows, columns = height // PACKED, width // PACKED
        places = torch.zeros(rows, columns, 3, dtype=latents.dtype, device=latents.device)
        places[..., 1] += torch.arange(rows, device=latents.device)[:, None]
        places[..., 2] += torch.arange(columns, device=latents.device)[None, :]
        embedded = None
        if stack.transformer.config.guidance_embeds:
            embedded = torch.full([n], guidance, device=latents.device, dtype=torch.float32)
        output: Tensor = stack.transformer(
            hidden_states=pack(latents),
            timestep=timestep.expand(n).to(latents.dtype) / TIMES,
            guidance=embedded,
            pooled_projections=conditioning.pooled,
            encoder_hidden_states=conditioning.states,
            txt_ids=places.new_zeros(conditioning.states.shape[1], 3),
            img_ids=places.flatten(0, 1),
            return_dict=False,
        )[0]
        return unpack(output, height, width)

    def latent_shape(self, stack: DiffusionStack) -> tuple[int, int, int]:
        """Channels of unpacked latents, and the size at which the VAE was trained."""
        size = stack.vae.config.sample_size // stack.vae_factor
        return stack.transformer.config.in_channels // PACKED**2, size, size

    def timestep_options(self, stack: DiffusionStack, steps: int) -> dict[str, Any]:
        """Give noise levels 1, 1 - 1/S, ..., 1/S, and mu, by which the scheduler may shift them."""
        config = stack.scheduler.config
        _, height, width = self.latent_shape(stack)
        tokens = (height // PACKED) * (width // PACKED)
        options: dict[str, Any] = {"mu": dynamic_shift(config, tokens, largest=LARGEST_SHIFT)}
        if not config.get("use_flow_sigmas"):
            options["sigmas"] = np.linspace(1.0, 1 / steps, steps).tolist()
        return options


def pack(latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n t d"]:
    """Lay out squares of 2x2 latents as tokens, row by row, channels before places."""
    n, channels, height, width = latents.shape
    squares = latents.reshape(
        n, channels, height // PACKED, PACKED, width // PACKED, PACKED
    ).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(n, (height // PACKED) * (width // PACKED), channels * PACKED**2)


def unpack(tokens: Float[Tensor, "n t d"], height: int, width: int) -> Float[Tensor, "n c h w"]:
    """Undo ``pack`` for latents of this size."""
    n, _, depth = tokens.shape
    channels = depth // PACKED**2
    squares = tokens.reshape(
        n, height // PACKED, width // PACKED, channels, PACKED, PACKED
    ).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(n, channels, height, width)
