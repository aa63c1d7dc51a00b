"""Random changes that leave a face's perceived attributes as they are."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["augment"]

SHIFT = 0.08  # of the side
SCALE = 1.15
# Skin tone is a class: light may change a face only a little.
BRIGHTNESS = 0.08
CONTRAST = 0.12
BLUR = 0.03  # of the side; never more than BLUR_PX
BLUR_PX = 3.0
NOISE = 0.05


def augment(
    images: Float[Tensor, "n 3 h w"], generator: torch.Generator
) -> Float[Tensor, "n 3 h w"]:
    """Flip, move, scale, light, blur and roughen every image by its own random amounts.

    Blur counts most: generated faces come out of a decoder softer than the photographs or
    drawings that a classifier is trained on. Half of the images stay sharp.

    Args:
        images: In [-1, 1].
        generator: Draws every amount, on its own device.

    Returns:
        New images in [-1, 1]; the ones given are not changed.
    """
    count, _, height, width = images.shape

    def uniform(low: float, high: float, columns: int = 1) -> Tensor:
        drawn = torch.rand(count, columns, generator=generator, device=generator.device)
        return (low + (high - low) * drawn).to(images)

    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    zoom = uniform(-math.log(SCALE), math.log(SCALE)).exp()
    shift = uniform(-2 * SHIFT, 2 * SHIFT, 2)
    zero = torch.zeros_like(zoom)
    across = torch.cat([flip * zoom, zero, shift[:, :1]], dim=1)
    down = torch.cat([zero, zoom, shift[:, 1:]], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), [*images.shape], align_corners=False)
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)

    contrast = uniform(1 - CONTRAST, 1 + CONTRAST).view(-1, 1, 1, 1)
    light = uniform(-BRIGHTNESS, BRIGHTNESS).view(-1, 1, 1, 1)
    middle = moved.mean(dim=(1, 2, 3), keepdim=True)
    lit = (moved - middle) * contrast + middle + light

    largest = min(BLUR * max(height, width), BLUR_PX)
    blurred = gaussian_blur(lit, uniform(-largest, largest).clamp(min=0).flatten(), largest)
    grain = torch.randn(images.shape, generator=generator, device=generator.device).to(images)
    strength = uniform(0, NOISE).view(-1, 1, 1, 1)
    return (blurred + strength * grain).clamp(-1, 1)


def gaussian_blur(
    images: Float[Tensor, "n 3 h w"], sigma: Float[Tensor, " n"], largest: float
) -> Float[Tensor, "n 3 h w"]:
    """Convolve every image with a Gaussian of its own standard deviation, edges mirrored.

    Args:
        images: Any range.
        sigma: Standard deviations, px; 0 leaves an image as it is.
        largest: Upper bound of ``sigma``; the kernel reaches twice as far.

    Returns:
        Images of the same size.
    """
    count, channels, height, width = images.shape
    radius = math.ceil(2 * largest)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = (-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2).exp()
    kernel = (kernel / kernel.sum(-1, keepdim=True)).repeat_interleave(channels, dim=0)
    groups = count * channels
    rows = images.reshape(1, groups, height, width)
    rows = F.pad(rows, (radius, radius, radius, radius), mode="reflect")
    rows = F.conv2d(rows, kernel.view(groups, 1, 1, -1), groups=groups)
    rows = F.conv2d(rows, kernel.view(groups, 1, -1, 1), groups=groups)
    return rows.view(count, channels, height, width)
