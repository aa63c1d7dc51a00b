"""What the detector and the classifier see in images, without a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fairness_core.classifiers import AttributeClassifier
from fairness_core.diffusion import DiffusionStack, decode
from fairness_core.faces import FaceDetector, crop_faces, intersect
from fairness_core.runtime.distributed import World
from fairness_core.types import Faces

__all__ = ["ENLARGE", "Count", "Perceived", "count_batch", "counterparts", "decode_all", "perceive"]

# Side of the square that is a face's crop and its region, over the box's longer side.
ENLARGE = 1.5


@dataclass(frozen=True)
class Perceived:
    """Faces of a batch of images and the classifier's view of them.

    Attributes:
        faces: The largest face of each image, or every face.
        probabilities: Per attribute; rows without a face are meaningless.
        image: The row of each face's image, ascending.
    """

    faces: Faces
    probabilities: dict[str, Float[Tensor, "n k"]]
    image: Int[Tensor, " n"]

    @property
    def classes(self) -> dict[str, Int[Tensor, " n"]]:
        """Most probable class per attribute."""
        return {name: p.argmax(dim=-1) for name, p in self.probabilities.items()}

    def rows_of(self, images: slice) -> slice:
        """The rows of the faces in these images, a slice with both ends."""
        ends = torch.tensor([images.start, images.stop], device=self.image.device)
        first, last = torch.searchsorted(self.image.contiguous(), ends).tolist()
        return slice(first, last)

    def take(self, rows: slice | Int[Tensor, " m"]) -> Perceived:
        """The same faces, only these rows."""
        return Perceived(
            self.faces.take(rows),
            {name: p[rows] for name, p in self.probabilities.items()},
            self.image[rows],
        )

    def counted_from(self, first: int) -> Perceived:
        """The same faces, their images counted from this row on."""
        return Perceived(self.faces, self.probabilities, self.image - first)


@dataclass(frozen=True)
class Count:
    """Sizes of the batch over all processes, and which of its rows are this process's.

    Attributes:
        images: Images.
        with_face: Images with a face.
        rows: This process's rows among those of all processes in rank order.
    """

    images: int
    with_face: int
    rows: slice


def count_batch(seen: Perceived, images: int, world: World) -> Count:
    """Count the batch; every process calls this with its own part."""
    with_face = len(seen.image[seen.faces.present].unique())
    own = torch.tensor([[images, with_face, len(seen.image)]], device=world.device)
    sizes = world.gather_rows(own)
    first = int(sizes[: world.rank, 2].sum())
    total = sizes.sum(dim=0).tolist()
    return Count(total[0], total[1], slice(first, first + len(seen.image)))


@torch.no_grad()
def decode_all(
    stack: DiffusionStack, latents: Float[Tensor, "n c h w"], batch_size: int | None
) -> Float[Tensor, "n 3 y x"]:
    """The latents' images, about [-1, 1], ``batch_size`` at once or all."""
    return torch.cat([decode(stack, part) for part in latents.split(batch_size or len(latents))])


@torch.no_grad()
def perceive(
    images: Float[Tensor, "n 3 h w"],
    detector: FaceDetector,
    classifier: AttributeClassifier,
    *,
    every: bool = False,
) -> Perceived:
    """Detect the largest face of each image, or every face, and classify its crop.

    Args:
        images: In [-1, 1]; values beyond are clamped, as a saved picture's would be.
        detector: Finds the faces.
        classifier: Calibrated; its attributes give the keys.
        every: Every face: an image has as many rows as faces, all present. Otherwise each image
            has one row, present or not.
    """
    shown = images.clamp(-1, 1)
    if every:
        faces, image = detector.detect_all(shown)
    else:
        faces, image = detector.detect(shown), torch.arange(len(shown), device=shown.device)
    if not len(image):
        return Perceived(faces, _nobody(shown, classifier), image)
    crops = crop_faces(
        shown[image], faces.boxes, faces.present, size=classifier.input_size, enlarge=ENLARGE
    )
    return Perceived(faces, classifier.predict(crops), image)


def counterparts(seen: Perceived, originally: Perceived) -> Perceived:
    """For each face of the tuned images the original's face that it overlaps most.

    By intersection over union in the same image; a face that overlaps none has no counterpart and
    is absent. Several faces may have the same one (the paper knows one face per image).

    Args:
        seen: Every face of the tuned images.
        originally: Every face of the frozen model's images.

    Returns:
        Rows as in ``seen``.
    """
    rows, count = len(seen.image), len(originally.image)
    if not rows or not count:
        faces, names = seen.faces, seen.probabilities
        nobody = Faces(
            torch.zeros_like(faces.boxes),
            torch.zeros_like(faces.landmarks),
            torch.zeros_like(faces.scores),
            torch.zeros_like(faces.present),
        )
        return Perceived(nobody, {n: torch.zeros_like(p) for n, p in names.items()}, seen.image)
    own = seen.faces.boxes.repeat_interleave(count, dim=0)
    other = originally.faces.boxes.repeat(rows, 1)
    common = _area(intersect(own, other))
    overlap = (common / (_area(own) + _area(other) - common).clamp(min=1e-6)).view(rows, count)
    same = seen.image[:, None] == originally.image[None]
    found = torch.where(same, overlap, 0.0).max(dim=1)
    present = found.values > 0
    paired = originally.take(found.indices)
    kept = Faces(
        torch.where(present[:, None], paired.faces.boxes, 0.0),
        torch.where(present[:, None, None], paired.faces.landmarks, 0.0),
        torch.where(present, paired.faces.scores, 0.0),
        present,
    )
    return Perceived(kept, paired.probabilities, seen.image)


def _area(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, " n"]:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _nobody(
    images: Float[Tensor, "n 3 h w"], classifier: AttributeClassifier
) -> dict[str, Float[Tensor, "0 k"]]:
    return {a.name: images.new_zeros(0, a.size) for a in classifier.space.attributes}
