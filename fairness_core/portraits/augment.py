"""Random views of drawn images, one torch generator deciding everything."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

__all__ = ["affine", "blur", "colour", "noise", "shuffle_blocks", "to_unit_range", "uniform"]

LUMA = (0.299, 0.587, 0.114)


def to_unit_range(images: UInt8[np.ndarray, "n h w 3"]) -> Float[Tensor, "n 3 h w"]:
    """Bytes to float32 in [-1, 1], channels first."""
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Float[Tensor, " n"]:
    """``n`` draws from [low, high)."""
    return torch.rand(n, generator=generator) * (high - low) + low


def affine(
    images: Float[Tensor, "n 3 h w"],
    *,
    zoom: Float[Tensor, " n"],
    shift: Float[Tensor, "n 2"],
    flip: Float[Tensor, " n"],
    size: int,
) -> Float[Tensor, "n 3 size size"]:
    """Resample bilinearly: flip, zoom about the centre, then move; edges are smeared outwards.

    A point p of the source, in fractions of its side with the centre at 0, lands on
    ``zoom * flip * p + shift`` (the flip touches x only).

    Args:
        images: [-1, 1].
        zoom: Above 1 enlarges.
        shift: x y, fractions of the side.
        flip: -1 mirrors, 1 does not.
        size: Side of the result, pixels.
    """
    n, _, height, width = images.shape
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 1, 1] = flip / zoom, 1.0 / zoom
    matrix[:, 0, 2], matrix[:, 1, 2] = -2 * shift[:, 0] * flip / zoom, -2 * shift[:, 1] / zoom
    grid = functional.affine_grid(matrix, [n, 3, size, size], align_corners=False)
    if size < min(height, width):
        images = functional.interpolate(
            images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
        )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blur(images: Float[Tensor, "n 3 h w"], sigma: Float[Tensor, " n"]) -> Float[Tensor, "n 3 h w"]:
    """Gaussian blur, 7x7, a standard deviation in pixels for each image."""
    n, channels, height, width = images.shape
    offsets = torch.arange(-3, 4).float()
    line = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
    line = (line / line.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    stacked = functional.pad(images, (3, 3, 3, 3), mode="replicate").reshape(
        1, -1, height + 6, width + 6
    )
    across = functional.conv2d(stacked, line[:, None, None, :], groups=n * channels)
    down = functional.conv2d(across, line[:, None, :, None], groups=n * channels)
    return down.reshape(images.shape)


def colour(
    images: Float[Tensor, "n 3 h w"],
    *,
    brightness: float,
    contrast: float,
    saturation: float,
    generator: torch.Generator,
) -> Float[Tensor, "n 3 h w"]:
    """Random brightness, contrast and saturation, each within plus or minus what is given."""
    n = len(images)
    gain, scale, tint = (
        uniform(n, -amount, amount, generator)[:, None, None, None]
        for amount in (brightness, contrast, saturation)
    )
    grey = (images * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    images = images + (images - grey) * tint
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (mean + (images - mean) * (1.0 + scale) + gain).clamp(-1.0, 1.0)


def noise(
    images: Float[Tensor, "n 3 h w"], largest: float, generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Add normal noise, its standard deviation drawn from [0, largest) for each image."""
    level = uniform(len(images), 0.0, largest, generator)[:, None, None, None]
    return (images + level * torch.randn(images.shape, generator=generator)).clamp(-1.0, 1.0)


def shuffle_blocks(
    images: Float[Tensor, "n 3 h w"], blocks: int, generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Cut every image into ``blocks`` x ``blocks`` squares and put them in a random order."""
    n, _, height, width = images.shape
    high, wide = height // blocks, width // blocks
    cut = images.reshape(n, 3, blocks, high, blocks, wide).permute(0, 2, 4, 1, 3, 5)
    cut = cut.reshape(n, blocks * blocks, 3, high, wide)
    order = torch.argsort(torch.rand(n, blocks * blocks, generator=generator), dim=1)
    cut = torch.gather(cut, 1, order[:, :, None, None, None].expand_as(cut))
    cut = cut.reshape(n, blocks, blocks, 3, high, wide).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(images.shape)
