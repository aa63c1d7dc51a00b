"""A diffusion model as five parts, and the one place that calls its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from jaxtyping import Float, Num
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from fairness_core.diffusion.loading import load_components
from fairness_core.errors import ConfigError, ModelError

__all__ = ["DiffusionStack", "NetworkCalls"]


@dataclass
class NetworkCalls:
    """How often the U-Net was called, in rows of its batches.

    Attributes:
        forwards: Rows passed forward; an image under guidance is two rows a step.
        backwards: Rows through which a gradient was passed back.
    """

    forwards: int = 0
    backwards: int = 0

    def reset(self) -> None:
        """Set both counts to 0."""
        self.forwards = self.backwards = 0


class DiffusionStack:
    """Tokenizer, text encoder, VAE, U-Net and scheduler of a latent text-to-image model.

    Attributes:
        tokenizer: Prompts to token ids.
        text_encoder: Token ids to the U-Net's conditioning.
        vae: Latents to images.
        unet: The network that sampling calls.
        scheduler: Configuration of the sampler; never stepped, see ``new_scheduler``.
        calls: Running count of U-Net calls.
    """

    def __init__(
        self,
        *,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        scheduler: Any,
    ) -> None:
        """Hold the parts as they are: no weight is frozen, moved or copied.

        Raises:
            ModelError: The widths of the parts do not fit together.
        """
        self.tokenizer, self.text_encoder = tokenizer, text_encoder
        self.vae, self.unet, self.scheduler = vae, unet, scheduler
        self.calls = NetworkCalls()
        pairs = {
            "width of the text encoder and of the U-Net's conditioning": (
                text_encoder.config.hidden_size,
                unet.config.cross_attention_dim,
            ),
            "latent channels of the VAE and of the U-Net's input": (
                vae.config.latent_channels,
                unet.config.in_channels,
            ),
            "channels of the U-Net's input and output": (
                unet.config.in_channels,
                unet.config.out_channels,
            ),
        }
        for what, (first, second) in pairs.items():
            if first != second:
                raise ModelError(
                    f"The {what} differ", given=f"{first} and {second}", do="use parts of one model"
                )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> DiffusionStack:
        """Load a local pipeline folder, frozen, in evaluation mode, convolutions channels-last.

        Args:
            folder: Layout of ``StableDiffusionPipeline.save_pretrained``, weights in safetensors.
            device: Where the networks go.
            dtype: Type of their weights.

        Raises:
            ModelError: The folder is missing, incomplete, damaged or of another kind.
        """
        stack = cls(**load_components(folder, dtype=dtype))
        for network in (stack.text_encoder, stack.vae, stack.unet):
            network.requires_grad_(False).eval().to(device)
        # Convolutions on a CPU are several times faster in this layout, and not slower on a GPU.
        for network in (stack.vae, stack.unet):
            network.to(memory_format=torch.channels_last)
        return stack

    @property
    def device(self) -> torch.device:
        """Where the U-Net lives."""
        device: torch.device = next(self.unet.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the U-Net's frozen weights."""
        dtype: torch.dtype = next(self.unet.parameters()).dtype
        return dtype

    @property
    def prediction_type(self) -> str:
        """What the network predicts, such as ``epsilon`` or ``v_prediction``."""
        return str(self.scheduler.config.get("prediction_type", "epsilon"))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image's latents."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width

    @property
    def image_size(self) -> int:
        """Side of the square images, px.

        Raises:
            ModelError: The U-Net's latents are not square.
        """
        _, height, width = self.latent_shape
        if height != width:
            raise ModelError(
                "The model's latents are not square",
                given=f"{height}x{width}",
                do="use a model with square images",
            )
        return int(height * 2 ** (len(self.vae.config.block_out_channels) - 1))

    def new_scheduler(self, steps: int) -> Any:
        """Make a scheduler of the model's kind, its timesteps set; the model's own is untouched.

        Schedulers keep state between steps, so every sampling run needs one of its own.

        Raises:
            ConfigError: ``steps`` is less than 1.
        """
        return fresh_scheduler(self.scheduler, steps, device=self.device)

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        embedding: Float[Tensor, "n t d"],
    ) -> Float[Tensor, "n c h w"]:
        """Compute the U-Net's output, and count the call and any gradient that comes back.

        Args:
            latents: Inputs as the scheduler scaled them.
            timestep: One of the scheduler's timesteps.
            embedding: Conditioning, a row for each latent.

        Returns:
            The output in the latents' type, whatever the type of the weights.
        """
        rows = latents.shape[0]
        output: Tensor = self.unet(
            latents.to(self.dtype, memory_format=torch.channels_last),
            timestep,
            encoder_hidden_states=embedding.to(self.dtype),
            return_dict=False,
        )[0]
        self.calls.forwards += rows
        if output.requires_grad:
            output.register_hook(lambda _: self._count_backward(rows))
        return output.to(latents.dtype)

    def _count_backward(self, rows: int) -> None:
        self.calls.backwards += rows

    def pipeline(self) -> StableDiffusionPipeline:
        """Make a stock diffusers pipeline that shares the networks and has its own scheduler."""
        return StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=self.tokenizer,
            unet=self.unet,
            scheduler=type(self.scheduler).from_config(self.scheduler.config),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )


def fresh_scheduler(scheduler: Any, steps: int, *, device: str | torch.device = "cpu") -> Any:
    """Make a scheduler of the same kind and configuration with ``steps`` timesteps set.

    Raises:
        ConfigError: ``steps`` is less than 1.
    """
    if steps < 1:
        raise ConfigError("Sampling needs at least one step", given=steps)
    fresh = type(scheduler).from_config(scheduler.config)
    fresh.set_timesteps(steps, device=device)
    return fresh
