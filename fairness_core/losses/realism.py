"""Keep faces realistic: pull each face's embedding towards a real one."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["face_realism"]


def face_realism(
    embedding: Float[Tensor, "n d"],
    target: Float[Tensor, "n d"],
    present: Bool[Tensor, " n"],
) -> Float[Tensor, " n"]:
    """L_face,i = 1 - cos(emb(face(x_i)), target_i) where there is a face and a target, else 0.

    Args:
        embedding: Face embeddings of the tuned model's images; need not be of unit length.
        target: Embeddings of real faces; no gradient.
        present: Whether the image has a face and a target; other rows may hold anything.

    Returns:
        Terms in [0, 2], with gradient to the present rows only.
    """
    present = present.to(embedding.device)
    # Only present rows enter the cosine: 0 * nan of another row would still be nan.
    real = target.detach().to(embedding.device)[present].float()
    terms = 1.0 - F.cosine_similarity(embedding[present].float(), real, dim=-1)
    return terms.new_zeros(embedding.shape[0]).masked_scatter(present, terms)
