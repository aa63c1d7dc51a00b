"""Stable Diffusion XL: two CLIP text encoders, a pooled embedding, image sizes as input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from jaxtyping import Float, Num
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.encode import ids_and_mask
from fairness_core.diffusion.families.base import Family, common_parts
from fairness_core.diffusion.families.stable_diffusion import unet_widths

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["StableDiffusionXL", "penultimate"]

# Numbers that say the image's size: original height and width, crop's top and left, target's sides.
SIZES = 6


class StableDiffusionXL(Family):
    """States of both text encoders side by side, the second one's pooled output beside them.

    The states are those before each encoder's last layer, so the first encoder's last layer has no
    influence and its adapters there get no gradient.
    """

    pipeline = StableDiffusionXLPipeline
    components: ClassVar[Mapping[str, Any]] = {
        **common_parts(UNet2DConditionModel),
        "text_encoder": CLIPTextModel,
        "tokenizer_2": CLIPTokenizer,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    adapted = ("text_encoder", "text_encoder_2")

    def __init__(self, *, empty_is_zero: bool = True) -> None:
        """Say whether the empty prompt of guidance is all zeros rather than encoded."""
        self.empty_is_zero = empty_is_zero

    @classmethod
    def from_index(cls, index: Mapping[str, Any]) -> StableDiffusionXL:
        """Read ``force_zeros_for_empty_prompt``, true where it is not said."""
        return cls(empty_is_zero=bool(index.get("force_zeros_for_empty_prompt", True)))

    @property
    def empty_learns(self) -> bool:
        """Zeros have no gradient to pass on."""
        return not self.empty_is_zero

    @property
    def pipeline_options(self) -> dict[str, Any]:
        """No watermark: it would change the images that are to be compared."""
        return {
            "force_zeros_for_empty_prompt": self.empty_is_zero,
            "add_watermarker": False,
        }

    def widths(self, stack: DiffusionStack) -> dict[str, tuple[int, int]]:
        """Sizes that have to agree."""
        first, second = stack.text_encoder.config, stack.text_encoder_2.config
        unet = stack.unet.config
        return {
            "width of both text encoders and of the U-Net's conditioning": (
                first.hidden_size + second.hidden_size,
                unet.cross_attention_dim,
            ),
            **unet_widths(stack),
            "width of the pooled embedding with the image's sizes and of the U-Net's addition": (
                second.projection_dim + SIZES * (unet.addition_time_embed_dim or 0),
                unet.projection_class_embeddings_input_dim,
            ),
        }

    def encode(self, stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
        """Compute both encoders' states and the second one's pooled output.

        The empty prompt becomes zeros if the pipeline says so.
        """
        first, _ = penultimate(stack.text_encoder, stack.tokenizer, prompts, stack.device)
        second, pooled = penultimate(stack.text_encoder_2, stack.tokenizer_2, prompts, stack.device)
        both = Conditioning(torch.cat([first, second], dim=-1), pooled)
        if not self.empty_is_zero:
            return both
        said = torch.tensor([prompt != "" for prompt in prompts], device=stack.device)
        return both.map(
            lambda tensor: torch.where(said.view(-1, *[1] * (tensor.dim() - 1)), tensor, 0.0)
        )

    def call(
        self,
        stack: DiffusionStack,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float,
    ) -> Float[Tensor, "n c h w"]:
        """Call the U-Net, told that the image is whole and of the size it will have."""
        del guidance
        sides = [side * stack.vae_factor for side in latents.shape[-2:]]
        sizes = torch.tensor([*sides, 0, 0, *sides], dtype=latents.dtype, device=latents.device)
        output: Tensor = stack.unet(
            latents,
            timestep,
            encoder_hidden_states=conditioning.states,
            added_cond_kwargs={
                "text_embeds": conditioning.pooled,
                "time_ids": sizes.expand(len(latents), -1),
            },
            return_dict=False,
        )[0]
        return output


def penultimate(
    encoder: Any, tokenizer: Any, prompts: Sequence[str], device: torch.device
) -> tuple[Float[Tensor, "b t d"], Any]:
    """Compute the states before a CLIP text encoder's last layer, and its projected output.

    The second is None for an encoder without a projection.
    """
    ids, _ = ids_and_mask(tokenizer, prompts, device)
    output = encoder(ids, output_hidden_states=True)
    return output.hidden_states[-2], getattr(output, "text_embeds", None)
