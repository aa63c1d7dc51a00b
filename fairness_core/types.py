"""Frozen batches that travel between the parts. Presence is a mask, never a marker value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

__all__ = ["Faces", "LabelledImage", "Targets", "Trajectory"]


@dataclass(frozen=True)
class Faces:
    """Rows of faces: the largest of each image, where there is one, or all faces of all images.

    Attributes:
        boxes: Pixels, x0 y0 x1 y1 of the image given; may reach outside it. Zero where absent.
        landmarks: Pixels, five points x y: eyes, nose tip, mouth corners. Zero where absent.
        scores: Detector confidence in [0, 1]; 0 where absent.
        present: Whether there is a face.
    """

    boxes: Float[Tensor, "n 4"]
    landmarks: Float[Tensor, "n 5 2"]
    scores: Float[Tensor, " n"]
    present: Bool[Tensor, " n"]

    def take(self, rows: slice | Shaped[Tensor, " m"]) -> Faces:
        """The same faces, only these rows: a slice, indices in any order, or a mask."""
        return Faces(self.boxes[rows], self.landmarks[rows], self.scores[rows], self.present[rows])


@dataclass(frozen=True)
class LabelledImage:
    """A picture with a face, as a data set gives it.

    Attributes:
        image: In [-1, 1].
        labels: Class name per attribute; an attribute that is not labelled is left out.
        source_id: What the picture is called where it comes from, such as its file.
    """

    image: Float[Tensor, "3 h w"]
    labels: Mapping[str, str]
    source_id: str


@dataclass(frozen=True)
class Targets:
    """Pseudo-labels of one attribute for a batch (paper, Eq. 4 and the line after it).

    Attributes:
        expected: Expected one-hot target q_i; rows of absent faces are zero.
        labels: y_i = argmax q_i; 0 where absent.
        confidence: c_i = max q_i, in [0, 1]; 0 where absent.
        active: Present and c_i >= C: this image takes part in the loss.
    """

    expected: Float[Tensor, "n k"]
    labels: Int[Tensor, " n"]
    confidence: Float[Tensor, " n"]
    active: Bool[Tensor, " n"]


@dataclass(frozen=True)
class Trajectory:
    """What a sampler saw: enough to recompute every network call, no graph.

    Attributes:
        timesteps: As passed to the network, in sampling order.
        inputs: The network's latent inputs, after the scheduler's own scaling.
        final: z_0, the sampler's result, in the VAE's scaled latent units.
    """

    timesteps: tuple[Tensor, ...]
    inputs: tuple[Float[Tensor, "n c h w"], ...]
    final: Float[Tensor, "n c h w"]

    def __len__(self) -> int:
        """Number of sampling steps."""
        return len(self.timesteps)
