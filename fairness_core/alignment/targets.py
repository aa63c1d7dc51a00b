"""Pseudo-labels of a batch: transport targets, their confidence, and who takes part."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fairness_core.alignment.transport import expected_targets
from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ConfigError, TargetError
from fairness_core.types import Targets

__all__ = ["held_targets", "make_targets", "take_rows"]


def make_targets(
    probabilities: Mapping[str, Float[Tensor, "n _"]],
    present: Bool[Tensor, " n"],
    space: AttributeSpace,
    *,
    confidence: float = 0.8,
    draws: int = 100,
    generator: torch.Generator,
) -> dict[str, Targets]:
    """y_i = argmax q_i, c_i = max q_i, active where c_i >= C (paper, Eq. 4 and the line after).

    Only rows with a face enter the transport, so its n is the number of faces: pass the rows of
    all processes together, in the same order everywhere, and cut each process's share afterwards
    with ``take_rows``. With one face q is the target itself; with none every row is inactive.
    No gradient flows.

    Args:
        probabilities: Classifier probabilities per attribute; rows without a face are not read.
        present: Whether each image has a face.
        space: The attributes to align, each with its target.
        confidence: C, in [0, 1).
        draws: See ``expected_targets``.
        generator: CPU generator; see ``expected_targets``.

    Returns:
        Targets per attribute, n rows each.

    Raises:
        ConfigError: C outside [0, 1), a missing attribute, or fewer than one draw.
        TargetError: Probabilities of the wrong shape, or not finite where there is a face.
    """
    if not 0.0 <= confidence < 1.0:
        raise ConfigError(
            "The confidence threshold C is outside [0, 1)", given=confidence, do="the paper has 0.8"
        )
    _check_rows(probabilities, present, space)
    faces = {k: p.detach()[present.to(p.device)] for k, p in probabilities.items()}
    expected = expected_targets(faces, space, draws=draws, generator=generator)
    return {name: _spread(q, present, confidence) for name, q in expected.items()}


def held_targets(
    probabilities: Float[Tensor, "n k"], present: Bool[Tensor, " n"], *, confidence: float = 0.8
) -> Targets:
    """Targets that keep each image as it was: y_i is the original's most probable class.

    Not in the paper, which trains on prompts that name no class.

    Args:
        probabilities: The classifier's view of the frozen model's images.
        present: Whether there is a face in both images.
        confidence: C: where the original's class is less certain, the image takes no part.

    Returns:
        One-hot targets with the original's probability as their confidence; zero where absent.
    """
    kept = torch.where(present[:, None], probabilities, torch.zeros_like(probabilities))
    highest, labels = kept.max(dim=1)
    expected = torch.nn.functional.one_hot(labels, kept.shape[1]).to(kept) * present[:, None]
    return Targets(expected, labels, highest, present & (highest >= confidence))


def take_rows(targets: Targets, rows: slice | Int[Tensor, " m"]) -> Targets:
    """The same targets, only these rows: one process's share of a global batch.

    Args:
        targets: Targets of all rows.
        rows: A slice of the rows, or their indices.
    """
    return Targets(
        expected=targets.expected[rows],
        labels=targets.labels[rows],
        confidence=targets.confidence[rows],
        active=targets.active[rows],
    )


def _spread(faces: Float[Tensor, "m k"], present: Bool[Tensor, " n"], confidence: float) -> Targets:
    """Put the faces' rows back among all rows; absent rows stay zero and inactive."""
    present = present.to(faces.device)
    expected = faces.new_zeros(present.shape[0], faces.shape[1])
    expected[present] = faces
    highest, labels = expected.max(dim=1)
    return Targets(expected, labels, highest, present & (highest >= confidence))


def _check_rows(
    probabilities: Mapping[str, Tensor], present: Tensor, space: AttributeSpace
) -> None:
    for name in space.names:
        if name in probabilities and probabilities[name].shape[0] != present.shape[0]:
            raise TargetError(
                f"Probabilities of '{name}' and the face mask have different numbers of rows",
                given=(probabilities[name].shape[0], present.shape[0]),
            )
