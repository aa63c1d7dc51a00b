"""Stable Diffusion 1.x and 2.x: one CLIP text encoder, a U-Net, noise or v-prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from jaxtyping import Float, Num
from torch import Tensor
from transformers import CLIPTextModel

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.encode import ids_and_mask
from fairness_core.diffusion.families.base import Family, common_parts
from fairness_core.diffusion.soft_prompt import prefix_ids

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["StableDiffusion"]


class StableDiffusion(Family):
    """The last hidden states of one text encoder; versions 1 and 2 differ in their files only."""

    pipeline = StableDiffusionPipeline
    components: ClassVar[Mapping[str, Any]] = {
        **common_parts(UNet2DConditionModel),
        "text_encoder": CLIPTextModel,
    }
    soft_prompted = True

    @property
    def pipeline_options(self) -> dict[str, Any]:
        """No safety checker: it would black out images that are to be counted."""
        return {
            "safety_checker": None,
            "feature_extractor": None,
            "requires_safety_checker": False,
        }

    def widths(self, stack: DiffusionStack) -> dict[str, tuple[int, int]]:
        """Sizes that have to agree."""
        unet = stack.unet.config
        return {
            "width of the text encoder and of the U-Net's conditioning": (
                stack.text_encoder.config.hidden_size,
                unet.cross_attention_dim,
            ),
            **unet_widths(stack),
            "addition to the U-Net's time embedding and the pipeline's (none)": (
                unet.get("addition_embed_type"),
                None,
            ),
        }

    def encode(self, stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
        """Compute the last hidden states.

        The attention mask is passed only if the text encoder's configuration asks for it, as stock
        Stable Diffusion does.
        """
        ids, mask = ids_and_mask(stack.tokenizer, prompts, stack.device, prefix=prefix_ids(stack))
        wants_mask = getattr(stack.text_encoder.config, "use_attention_mask", False)
        states: Tensor = stack.text_encoder(
            ids, attention_mask=mask if wants_mask else None
        ).last_hidden_state
        return Conditioning(states)

    def call(
        self,
        stack: DiffusionStack,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float,
    ) -> Float[Tensor, "n c h w"]:
        """Call the U-Net, which does not see the guidance."""
        del guidance
        output: Tensor = stack.unet(
            latents, timestep, encoder_hidden_states=conditioning.states, return_dict=False
        )[0]
        return output


def unet_widths(stack: DiffusionStack) -> dict[str, tuple[Any, Any]]:
    """Sizes that have to agree in every pipeline with a U-Net."""
    unet = stack.unet.config
    return {
        "latent channels of the VAE and of the U-Net's input": (
            stack.vae.config.latent_channels,
            unet.in_channels,
        ),
        "channels of the U-Net's input and output": (unet.in_channels, unet.out_channels),
        "width of the U-Net's embedded guidance and the pipeline's (none)": (
            unet.get("time_cond_proj_dim"),
            None,
        ),
    }
