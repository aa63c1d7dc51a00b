"""A diffusion model as named parts, and the one place that calls its network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Num
from torch import Tensor
from torch.nn import Module

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.families import Family, StableDiffusion
from fairness_core.diffusion.loading import load_components
from fairness_core.diffusion.scheduler import fresh_scheduler
from fairness_core.errors import ModelError

__all__ = ["DiffusionStack", "NetworkCalls"]


@dataclass
class NetworkCalls:
    """How often the network was called, in rows of its batches.

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
    """Tokenizers, text encoders, VAE, network and scheduler of a latent text-to-image model.

    Each part is an attribute of its name in the pipeline: ``tokenizer``, ``text_encoder``, ``vae``,
    ``unet`` or ``transformer``, and for some ``text_encoder_2``; None where an optional one is
    missing.

    Attributes:
        family: What is particular to the pipeline's class.
        scheduler: Configuration of the sampler; never stepped, see ``new_scheduler``.
        calls: Running count of network calls.
    """

    tokenizer: Any
    tokenizer_2: Any
    tokenizer_3: Any
    text_encoder: Any
    text_encoder_2: Any
    text_encoder_3: Any
    unet: Any
    transformer: Any

    def __init__(
        self, *, vae: Any, scheduler: Any, family: Family | None = None, **parts: Any
    ) -> None:
        """Hold the parts as they are: no weight is frozen, moved or copied.

        Args:
            vae: Latents to images.
            scheduler: Of diffusers.
            family: Of Stable Diffusion 1.x and 2.x when None.
            **parts: The family's other components.

        Raises:
            ModelError: Parts that the family does not have, or whose widths do not fit together.
        """
        self.family = StableDiffusion() if family is None else family
        self.vae, self.scheduler = vae, scheduler
        self.calls = NetworkCalls()
        differing = sorted((self.family.components.keys() - {"vae"}) ^ parts.keys())
        if differing:
            raise ModelError(
                f"The parts are not those of a {self.family.pipeline.__name__}",
                given=", ".join(differing),
                do=f"give {', '.join(self.family.components)} and a scheduler",
            )
        for name, part in parts.items():
            setattr(self, name, part)
        for what, (first, second) in self.family.widths(self).items():
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
        sampler: str | None = None,
    ) -> DiffusionStack:
        """Load a local pipeline folder, frozen, in evaluation mode, convolutions channels-last.

        Args:
            folder: Layout of ``save_pretrained`` of a supported pipeline class (see ``families``),
                weights in safetensors.
            device: Where the networks go.
            dtype: Type of their weights.
            sampler: One of ``SAMPLERS`` in place of the model's own scheduler; None: its own.

        Raises:
            ConfigError: The sampler does not suit the model.
            ModelError: The folder is missing, incomplete, damaged or of another kind.
        """
        stack = cls(**load_components(folder, dtype=dtype, sampler=sampler))
        for network in (*stack.text_encoders.values(), stack.vae, stack.network):
            network.requires_grad_(False).eval().to(device)
        # Convolutions on a CPU are several times faster in this layout, and not slower on a GPU.
        for network in (stack.vae, stack.network):
            network.to(memory_format=torch.channels_last)
        return stack

    @property
    def parts(self) -> dict[str, Any]:
        """Every component of the pipeline but the scheduler, by name; None where one is missing."""
        return {name: getattr(self, name) for name in self.family.components}

    @property
    def network(self) -> Any:
        """The U-Net or transformer that sampling calls."""
        return getattr(self, self.family.network)

    @property
    def text_encoders(self) -> dict[str, Module]:
        """The text encoders that there are, by name."""
        return {
            name: part
            for name, part in self.parts.items()
            if name.startswith("text_encoder") and part is not None
        }

    @property
    def adaptable(self) -> dict[str, Module]:
        """What adapters may go to, by name: text encoders, then the network."""
        names = (*self.family.adapted, self.family.network)
        return {name: getattr(self, name) for name in names}

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        device: torch.device = next(self.network.parameters()).device
        return device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the network's frozen weights."""
        dtype: torch.dtype = next(self.network.parameters()).dtype
        return dtype

    @property
    def prediction_type(self) -> str:
        """What the network predicts: ``epsilon``, ``v_prediction``, ``flow_prediction`` or such."""
        flow = "FlowMatch" in type(self.scheduler).__name__
        default = "flow_prediction" if flow else "epsilon"
        return str(self.scheduler.config.get("prediction_type", default))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image's latents."""
        return self.family.latent_shape(self)

    @property
    def vae_factor(self) -> int:
        """Pixels of an image's side for each of its latents' side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def image_size(self) -> int:
        """Side of the square images, px.

        Raises:
            ModelError: The latents are not square.
        """
        _, height, width = self.latent_shape
        if height != width:
            given, do = f"{height}x{width}", "use a model with square images"
            raise ModelError("The model's latents are not square", given=given, do=do)
        return int(height * self.vae_factor)

    def new_scheduler(self, steps: int, *, device: str | torch.device | None = None) -> Any:
        """Make a scheduler of the model's kind, its timesteps set; the model's own is untouched.

        Schedulers keep state between steps, so every sampling run needs one of its own.

        Args:
            steps: Sampling steps.
            device: Of the timesteps; the network's when None.

        Raises:
            ConfigError: ``steps`` is less than 1.
            ModelError: The scheduler cannot be told what the pipeline tells it.
        """
        options = self.family.timestep_options(self, steps) if steps > 0 else {}
        device = self.device if device is None else device
        return fresh_scheduler(self.scheduler, steps, device=device, **options)

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float = 1.0,
    ) -> Float[Tensor, "n c h w"]:
        """Compute the network's output, and count the call and any gradient that comes back.

        Args:
            latents: Inputs as the scheduler scaled them.
            timestep: One of the scheduler's timesteps.
            conditioning: From ``encode_prompts``, a row for each latent.
            guidance: Fed to networks that take it as an input; the others do not see it.

        Returns:
            The output in the latents' type, whatever the type of the weights.
        """
        rows = latents.shape[0]
        output = self.family.call(
            self,
            latents.to(self.dtype, memory_format=torch.channels_last),
            timestep,
            conditioning.map(lambda tensor: tensor.to(self.dtype)),
            guidance,
        )
        self.calls.forwards += rows
        if output.requires_grad:
            output.register_hook(lambda _: self._count_backward(rows))
        return output.to(latents.dtype)

    def _count_backward(self, rows: int) -> None:
        self.calls.backwards += rows

    def pipeline(self) -> Any:
        """Make a stock diffusers pipeline that shares the networks and has its own scheduler."""
        return self.family.pipeline(
            **self.parts,
            scheduler=type(self.scheduler).from_config(self.scheduler.config),
            **self.family.pipeline_options,
        )
