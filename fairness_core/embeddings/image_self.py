"""Images as unit vectors of what they show, learned without text (DINOv2, Oquab et al. 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import Dinov2Model

from fairness_core.embeddings.model_folder import load_encoder
from fairness_core.model_folders import ImageInput

__all__ = ["ImageSelfEncoder"]


class ImageSelfEncoder(nn.Module):
    """A DINOv2: cosines between images (method, §2 and §6)."""

    def __init__(self, model: nn.Module, image_input: ImageInput) -> None:
        """Hold the parts as they are."""
        super().__init__()
        self.model, self.image_input = model, image_input

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device = "cpu") -> ImageSelfEncoder:
        """Load a local Dinov2Model folder, frozen, float32.

        Args:
            folder: ``config.json``, safetensors weights and ``preprocessor_config.json``.
            device: Where the network goes.

        Raises:
            ModelError: A file is missing or damaged, or the model is no DINOv2.
        """
        folder = Path(folder)
        model = load_encoder(Dinov2Model, folder, kind="dinov2")
        return cls(model, ImageInput.read(folder, mode="bicubic")).to(device).eval()

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return int(cast(Any, self.model.config).hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(self.parameters()).device

    def image(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of images, differentiably: the class token after the last norm.

        Args:
            images: In [-1, 1], of any size; the whole image is seen.
        """
        pixels = self.image_input.prepare(images.to(self.device, torch.float32))
        return F.normalize(self.model(pixel_values=pixels).pooler_output, dim=-1)
