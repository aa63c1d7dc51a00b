"""Keep what the frozen model showed: image semantics by two encoders."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

__all__ = ["semantic_loss"]


def semantic_loss(
    image_text: Float[Tensor, "n d"],
    original_image_text: Float[Tensor, "n d"],
    image_self: Float[Tensor, "n e"],
    original_image_self: Float[Tensor, "n e"],
) -> Float[Tensor, " n"]:
    """L_img,i = (1 - cos(CLIP(x_i), CLIP(o_i))) + (1 - cos(DINO(x_i), DINO(o_i))).

    o_i is the frozen model's image from the same noise, prompt and number of steps. Cosines are
    taken in float32; embeddings need not be of unit length.

    Args:
        image_text: Image-text (CLIP) embeddings of the tuned model's images.
        original_image_text: The same of the frozen model's images; no gradient.
        image_self: Self-supervised (DINO) embeddings of the tuned model's images.
        original_image_self: The same of the frozen model's images; no gradient.

    Returns:
        Terms in [0, 4], 0 for equal images.
    """
    return _distance(image_text, original_image_text) + _distance(image_self, original_image_self)


def _distance(embedding: Float[Tensor, "n d"], original: Float[Tensor, "n d"]) -> Tensor:
    return 1.0 - F.cosine_similarity(embedding.float(), original.detach().float(), dim=-1)
