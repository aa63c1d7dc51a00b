"""Train the world's face embedder to tell drawn people apart."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from fairness_core.embeddings import FaceEmbedder, export_onnx
from fairness_core.faces import align_five_points
from fairness_core.portraits import augment
from fairness_core.portraits.contrast import contrast_views
from fairness_core.portraits.fitting import OnStep, minimise

__all__ = ["align_drawings", "export_embedder", "save_embedder", "train_embedder"]

FACE_SIZE = 112


def align_drawings(
    images: Float[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n 5 2"]
) -> Float[Tensor, "n 3 112 112"]:
    """Faces at the embedder's size, of pictures that all have one."""
    everyone = torch.ones(len(images), dtype=torch.bool)
    return align_five_points(images, landmarks, everyone, size=FACE_SIZE)


def _views(
    images: Float[Tensor, "n 3 h w"], landmarks: Float[Tensor, "n 5 2"], generator: torch.Generator
) -> Float[Tensor, "n 3 112 112"]:
    """Aligned faces with the blur, noise and landmark errors of generated images."""
    n = len(images)
    shown = augment.colour(
        images, brightness=0.06, contrast=0.08, saturation=0.08, generator=generator
    )
    soft = augment.blur(shown, augment.uniform(n, 0.3, 1.0, generator))
    share = augment.uniform(n, -0.6, 1.0, generator).clamp(min=0)[:, None, None, None]
    shown = augment.noise(shown + (soft - shown) * share, 0.05, generator)
    moved = landmarks + 0.3 * torch.randn(landmarks.shape, generator=generator)
    faces = align_drawings(shown, moved)
    flip = torch.rand(n, generator=generator) < 0.5
    return torch.where(flip[:, None, None, None], faces.flip(3), faces)


def train_embedder(
    images: UInt8[np.ndarray, "people views h w 3"],
    landmarks: Float[np.ndarray, "people views 5 2"],
    groups: Int[np.ndarray, " people"],
    *,
    seed: int,
    steps: int = 500,
    people_per_batch: int = 48,
    learning_rate: float = 3e-3,
    temperature: float = 0.1,
    width: int = 24,
    on_step: OnStep | None = None,
) -> FaceEmbedder:
    """Train an embedder to recognise a person across pose, expression, clothes and background.

    Every other batch holds people of one group only, which makes it tell individuals apart and
    not only groups.

    Args:
        images: RGB, at least two pictures of each person.
        landmarks: Pixels of the images, x y.
        groups: A number per person, equal for people of the same perceived classes.
        seed: Decides initial weights, batches and views.
        steps: Updates.
        people_per_batch: People per update, two pictures each.
        learning_rate: Peak of AdamW's.
        temperature: Of the softmax over cosines.
        width: Channels of the stem.
        on_step: Progress callback.
    """
    generator = torch.Generator().manual_seed(seed)
    network = FaceEmbedder.build(generator, width=width).train()
    n_people, n_views = images.shape[:2]
    shown = augment.to_unit_range(images.reshape(-1, *images.shape[2:]))
    points = torch.from_numpy(landmarks).float().flatten(0, 1)
    members = [torch.from_numpy(np.flatnonzero(groups == g)) for g in np.unique(groups)]

    def loss_at(step: int) -> Tensor:
        pool = torch.arange(n_people)
        if step % 2:
            pool = members[int(torch.randint(len(members), (1,), generator=generator))]
        chosen = pool[torch.randperm(len(pool), generator=generator)[:people_per_batch]]
        order = torch.argsort(torch.rand(len(chosen), n_views, generator=generator), dim=1)
        rows = torch.cat([chosen * n_views + order[:, 0], chosen * n_views + order[:, 1]])
        faces = _views(shown[rows], points[rows], generator)
        faces = faces.contiguous(memory_format=torch.channels_last)
        return contrast_views(network(faces), temperature)

    minimise(
        network.parameters(), loss_at, steps=steps, learning_rate=learning_rate, on_step=on_step
    )
    return network.eval()


def save_embedder(network: FaceEmbedder, folder: Path) -> None:
    """Write what ``FaceEmbedder.load`` reads, the weights as 16-bit floats."""
    network.save(folder, dtype=torch.float16)


def export_embedder(network: FaceEmbedder, path: Path) -> None:
    """Write the ONNX twin of what ``save_embedder`` writes, so with the same rounded weights."""
    export_onnx(deepcopy(network).half().float(), path)
