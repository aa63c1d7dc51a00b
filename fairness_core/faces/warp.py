"""Turn faces upright and to one size, so that an embedder finds eyes and mouth where it expects."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["REFERENCE_POINTS", "align_five_points", "similarity"]

# Eyes, nose tip, mouth corners in a face of 112x112 px (method, §2).
REFERENCE_SIZE = 112
REFERENCE_POINTS = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
PADDING = -1.0
SMALLEST_SCALE = 1e-6


def similarity(
    source: Float[Tensor, "n p 2"], target: Float[Tensor, "p 2"]
) -> Float[Tensor, "n 2 3"]:
    """Compute the least-squares rotation, scale and shift from source to target (Umeyama 1991).

    In the plane and without a reflection the problem is linear: with centred points as complex
    numbers, rotation and scale are ``a = sum(conj(s) t) / sum(|s|^2)``.

    Args:
        source: Points of each face. Where no turn and scale fits, as for five equal points, the
            result is the shift between the middles alone.
        target: Points that they should fall on.

    Returns:
        Matrices M with ``target ~ M[:, :2] source + M[:, 2]``.
    """
    middle, aim = source.mean(dim=1), target.mean(dim=0)
    s, t = source - middle[:, None], target - aim
    spread = (s**2).sum(dim=(1, 2))
    spread = torch.where(spread > 0, spread, 1.0)
    real = (s * t).sum(dim=(1, 2)) / spread
    imaginary = (s[..., 0] * t[..., 1] - s[..., 1] * t[..., 0]).sum(dim=1) / spread
    found = real**2 + imaginary**2 > SMALLEST_SCALE**2
    real, imaginary = torch.where(found, real, 1.0), torch.where(found, imaginary, 0.0)
    turn = torch.stack(
        [torch.stack([real, -imaginary], dim=-1), torch.stack([imaginary, real], dim=-1)], dim=1
    )
    shift = aim - (turn @ middle[..., None])[..., 0]
    return torch.cat([turn, shift[..., None]], dim=-1)


def align_five_points(
    images: Float[Tensor, "n 3 h w"],
    landmarks: Float[Tensor, "n 5 2"],
    present: Bool[Tensor, " n"],
    *,
    size: int = 112,
) -> Float[Tensor, "n 3 s s"]:
    """Resample each face so that its landmarks fall on the five reference points (method, §2).

    A similarity transform and bilinear interpolation, as insightface's ``norm_crop`` does on
    8-bit images: coordinates count from the middle of the first pixel, outside the image is black.

    Args:
        images: In [-1, 1].
        landmarks: Px: eyes, nose tip, mouth corners; no gradient reaches them.
        present: Whether the image has a face.
        size: Side of the aligned faces, px; the reference points scale with it.

    Returns:
        Aligned faces in [-1, 1]; -1 everywhere where no face is present.
    """
    height, width = images.shape[-2:]
    reference = images.new_tensor(REFERENCE_POINTS)
    points = torch.where(present[:, None, None], landmarks.detach().to(images.dtype), reference)
    # From the aligned face back to the image: the inverse of a similarity is one, and exact.
    forward = similarity(points, reference * (size / REFERENCE_SIZE))
    back = torch.linalg.inv(forward[:, :, :2])
    pixels = torch.arange(size, device=images.device, dtype=images.dtype)
    y, x = torch.meshgrid(pixels, pixels, indexing="ij")
    places = torch.stack([x, y], dim=-1).view(1, -1, 2) - forward[:, None, :, 2]
    places = (places @ back.transpose(1, 2)).view(-1, size, size, 2)
    # grid_sample counts from -1 at the outer edge of the first pixel to 1 at that of the last.
    grid = (2 * places + 1) / images.new_tensor([width, height]) - 1
    aligned = F.grid_sample(images - PADDING, grid, align_corners=False) + PADDING
    return torch.where(present[:, None, None, None], aligned, PADDING)
