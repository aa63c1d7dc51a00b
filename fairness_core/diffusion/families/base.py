"""What differs between text-to-image pipelines, as one small interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from diffusers import AutoencoderKL
from jaxtyping import Float, Num
from torch import Tensor
from transformers import CLIPTokenizer

from fairness_core.diffusion.conditioning import Conditioning

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["TEXT_TARGETS", "UNET_TARGETS", "Family", "dynamic_shift"]

TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


class Family(ABC):
    """How a pipeline class turns prompts to conditioning and calls its network.

    Everything else (sampling, guidance, gradient, decoding, adapters) is the same for all. What is
    needed of the network is that it predicts something of the latents' shape from which the
    scheduler steps linearly: noise, velocity or flow.

    Attributes:
        pipeline: diffusers' class.
        components: Class of each part by its name in the pipeline, the scheduler left out.
        optional: Parts that may be missing.
        network: Name of the part that sampling calls.
        adapted: Text encoders that adapters may go to; T5 is none of them, since stock diffusers
            does not load adapters for it.
        network_targets: Layers of the network that get adapters.
        guided: Whether guidance mixes in a second call for the empty prompt (classifier-free
            guidance). Otherwise g is an input of the network, and there is no second call.
        soft_prompted: Whether prompts may begin with soft tokens: there is one text encoder, and
            nothing of it is read but its states.
    """

    pipeline: ClassVar[Any]
    components: ClassVar[Mapping[str, Any]]
    optional: ClassVar[frozenset[str]] = frozenset()
    network: ClassVar[str] = "unet"
    adapted: ClassVar[tuple[str, ...]] = ("text_encoder",)
    network_targets: ClassVar[tuple[str, ...]] = UNET_TARGETS
    guided: ClassVar[bool] = True
    soft_prompted: ClassVar[bool] = False

    @classmethod
    def from_index(cls, index: Mapping[str, Any]) -> Family:
        """Make the family with what ``model_index.json`` says beside the components."""
        del index
        return cls()

    @property
    def empty_learns(self) -> bool:
        """Whether a gradient can reach the text encoders through the empty prompt."""
        return self.guided

    @property
    def pipeline_options(self) -> dict[str, Any]:
        """What the pipeline's constructor is told beside its parts."""
        return {}

    @abstractmethod
    def widths(self, stack: DiffusionStack) -> dict[str, tuple[int, int]]:
        """Pairs of sizes that are equal if the parts belong to one model, by what they are."""

    @abstractmethod
    def encode(self, stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
        """Compute the conditioning as the stock pipeline does, one row a prompt."""

    @abstractmethod
    def call(
        self,
        stack: DiffusionStack,
        latents: Float[Tensor, "n c h w"],
        timestep: Num[Tensor, ""],
        conditioning: Conditioning,
        guidance: float,
    ) -> Float[Tensor, "n c h w"]:
        """Call the network as the stock pipeline does; latents go in and come out unpacked."""

    def latent_shape(self, stack: DiffusionStack) -> tuple[int, int, int]:
        """Channels, height and width of one image's latents."""
        config = stack.network.config
        size = config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return config.in_channels, height, width

    def timestep_options(self, stack: DiffusionStack, steps: int) -> dict[str, Any]:
        """What the scheduler's ``set_timesteps`` is told beside the number of steps."""
        del stack, steps
        return {}


def common_parts(network: Any) -> dict[str, Any]:
    """Components of all latent diffusion pipelines here, with the class of the first tokenizer."""
    name = "unet" if network.__name__.startswith("UNet") else "transformer"
    return {"tokenizer": CLIPTokenizer, "vae": AutoencoderKL, name: network}


def dynamic_shift(config: Mapping[str, Any], tokens: int, *, largest: float) -> float:
    """Compute mu, by which a flow-matching schedule is shifted for an image of so many tokens.

    Linear in the number of tokens, from ``base_shift`` at ``base_image_seq_len`` to ``max_shift``
    at ``max_image_seq_len`` (Esser et al. 2024, section 5.3.2, as diffusers does it).

    Args:
        config: Of the scheduler.
        tokens: Patches of the image that the transformer sees.
        largest: ``max_shift`` where the configuration has none.
    """
    few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
    low, high = config.get("base_shift", 0.5), config.get("max_shift", largest)
    slope = (high - low) / (many - few)
    return float(tokens * slope + (low - slope * few))
