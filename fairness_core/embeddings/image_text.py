"""Images and prompts as unit vectors of one space (CLIP, Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPModel, CLIPTokenizer

from fairness_core.embeddings.model_folder import load_encoder
from fairness_core.errors import ModelError
from fairness_core.model_folders import LOAD_ERRORS, ImageInput, require_file

__all__ = ["ImageTextEncoder", "drop_text"]

TEXT_BATCH = 256


def drop_text(model: Any) -> None:
    """Leave a CLIPModel its image encoder alone."""
    model.text_model = model.text_projection = None


class ImageTextEncoder(nn.Module):
    """A CLIP: cosines between images, and between an image and a prompt (method, §2 and §6)."""

    def __init__(self, model: nn.Module, tokenizer: Any, image_input: ImageInput) -> None:
        """Hold the parts as they are."""
        super().__init__()
        self.model, self.tokenizer, self.image_input = model, tokenizer, image_input
        self.config = cast(Any, model.config)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str | torch.device = "cpu",
        images_only: bool = False,
    ) -> ImageTextEncoder:
        """Load a local CLIPModel folder with its tokenizer, frozen, float32.

        Args:
            folder: ``config.json``, safetensors weights, ``preprocessor_config.json``, and
                ``tokenizer.json`` or ``vocab.json`` with ``merges.txt``.
            device: Where the network goes.
            images_only: Keep the text encoder, a third of the memory, from the device.

        Raises:
            ModelError: A file is missing or damaged, or the model is no CLIP.
        """
        folder = Path(folder)
        model = load_encoder(CLIPModel, folder, kind="clip")
        if not (folder / "tokenizer.json").is_file():
            for name in ("vocab.json", "merges.txt"):
                require_file(folder / name)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
        except LOAD_ERRORS as error:
            raise ModelError(
                f"Could not load the tokenizer ({type(error).__name__}: {str(error)[:300]})",
                given=folder,
                do="fetch the model again",
            ) from error
        words = cast(Any, model.config).text_config.vocab_size
        if len(tokenizer) > words:
            raise ModelError(
                "The tokenizer knows more tokens than the text encoder",
                given=f"{len(tokenizer)} and {words} in {folder}",
                do="use a tokenizer and weights that belong together",
            )
        if images_only:
            drop_text(model)
        return cls(model, tokenizer, ImageInput.read(folder, mode="bicubic")).to(device).eval()

    @property
    def dimensions(self) -> int:
        """Length of the vectors."""
        return int(self.config.projection_dim)

    @property
    def device(self) -> torch.device:
        """Where the network lives."""
        return next(self.parameters()).device

    def image(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of images, differentiably.

        Args:
            images: In [-1, 1], of any size; the whole image is seen.
        """
        pixels = self.image_input.prepare(images.to(self.device, torch.float32))
        output = cast(Any, self.model).get_image_features(pixel_values=pixels)
        return F.normalize(output.pooler_output, dim=-1)

    @torch.no_grad()
    def text(self, prompts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of prompts; what exceeds the text encoder's length is cut off.

        Raises:
            ModelError: The encoder was loaded for images only.
        """
        if cast(Any, self.model).text_model is None:
            raise ModelError("This CLIP was loaded without its text encoder", do="load it whole")
        vectors = [torch.zeros(0, self.dimensions, device=self.device)]
        for start in range(0, len(prompts), TEXT_BATCH):
            tokens = self.tokenizer(
                list(prompts[start : start + TEXT_BATCH]),
                padding=True,
                truncation=True,
                max_length=self.config.text_config.max_position_embeddings,
                return_tensors="pt",
            ).to(self.device)
            output = cast(Any, self.model).get_text_features(
                input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
            )
            vectors.append(F.normalize(output.pooler_output, dim=-1))
        return torch.cat(vectors)
