"""What the realism loss and its bank ask of a face embedder, whatever network it is."""

from __future__ import annotations

from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

__all__ = ["FACE_SIZE", "FaceNetwork"]

FACE_SIZE = 112


class FaceNetwork(nn.Module):
    """emb(.) of the realism loss (method, §2): aligned faces to unit vectors."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._weight().device

    def forward(self, faces: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors of faces as they are, not of their mirror images.

        Args:
            faces: Aligned by the five points, RGB in [-1, 1].
        """
        raise NotImplementedError

    def embed(self, faces: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n d"]:
        """Compute unit vectors, flip-averaged, differentiably.

        The mean of the unit vectors of the face and of its mirror image, made unit length again
        (where the paper's authors normalise is not confirmed).

        Args:
            faces: Aligned by the five points, RGB in [-1, 1].
        """
        faces = faces.to(self._weight())
        return F.normalize(self(faces) + self(faces.flip(-1)), dim=-1)

    def _weight(self) -> Tensor:
        return next(chain(self.parameters(), self.buffers()))
