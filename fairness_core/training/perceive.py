"""What the detector and the classifier see in images, without a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fairness_core.classifiers import AttributeClassifier
from fairness_core.faces import FaceDetector, crop_faces
from fairness_core.types import Faces

__all__ = ["ENLARGE", "Perceived", "perceive"]

# Side of the square that is a face's crop and its region, over the box's longer side.
ENLARGE = 1.5


@dataclass(frozen=True)
class Perceived:
    """Faces of a batch of images and the classifier's view of them.

    Attributes:
        faces: The largest face of each image.
        probabilities: Per attribute; rows without a face are meaningless.
    """

    faces: Faces
    probabilities: dict[str, Float[Tensor, "n k"]]

    @property
    def classes(self) -> dict[str, Int[Tensor, " n"]]:
        """Most probable class per attribute."""
        return {name: p.argmax(dim=-1) for name, p in self.probabilities.items()}


@torch.no_grad()
def perceive(
    images: Float[Tensor, "n 3 h w"], detector: FaceDetector, classifier: AttributeClassifier
) -> Perceived:
    """Detect the largest face of each image and classify its crop.

    Args:
        images: In [-1, 1]; values beyond are clamped, as a saved picture's would be.
        detector: Finds the faces.
        classifier: Calibrated; its attributes give the keys.
    """
    shown = images.clamp(-1, 1)
    faces = detector.detect(shown)
    crops = crop_faces(
        shown, faces.boxes, faces.present, size=classifier.input_size, enlarge=ENLARGE
    )
    return Perceived(faces, classifier.predict(crops))
