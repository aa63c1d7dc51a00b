"""IResNet, the network of ArcFace recognition models, for plans where no file is there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fairness_core.embeddings.face_network import FACE_SIZE

__all__ = ["IRESNET50", "IResNet"]

IRESNET50 = (3, 4, 14, 3)
CHANNELS = (64, 128, 256, 512)


class _Block(nn.Module):
    """Pre-activated residual block (Deng et al., arXiv 1801.07698, §3.2.1)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.short: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        out: Tensor = self.residual(x) + self.short(x)
        return out


class IResNet(nn.Module):
    """Untrained; vectors as recognition files give them, not of unit length.

    Args:
        blocks: Residual blocks of each stage; every stage halves the side.
        channels: Of each stage, and of the stem the first.
        dimensions: Length of the vectors.
    """

    def __init__(
        self,
        blocks: Sequence[int] = IRESNET50,
        channels: Sequence[int] = CHANNELS,
        dimensions: int = 512,
    ) -> None:
        super().__init__()
        stem = channels[0]
        layers: list[nn.Module] = [
            nn.Conv2d(3, stem, 3, 1, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.PReLU(stem),
        ]
        inputs = stem
        for count, outputs in zip(blocks, channels, strict=True):
            for index in range(count):
                layers.append(_Block(inputs, outputs, 1 if index else 2))
                inputs = outputs
        self.body = nn.Sequential(*layers, nn.BatchNorm2d(inputs))
        side = FACE_SIZE >> len(blocks)
        self.head = nn.Sequential(
            nn.Linear(inputs * side**2, dimensions), nn.BatchNorm1d(dimensions)
        )

    def forward(self, x: Float[Tensor, "n 3 112 112"]) -> Float[Tensor, "n d"]:
        """Compute the vectors of RGB faces in [-1, 1]."""
        out: Tensor = self.head(torch.flatten(self.body(x), 1))
        return out
