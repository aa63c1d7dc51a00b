"""Weights of UCE's attribute directions, found by measuring what the edited model draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.baselines.editing import edit_matrix, edited_weights, load_edit, projections
from fairness_core.classifiers import AttributeClassifier
from fairness_core.diffusion import DiffusionStack
from fairness_core.errors import ConfigError
from fairness_core.evaluation import Sampling, sample_images
from fairness_core.faces import FaceDetector
from fairness_core.runtime.logs import get_logger, progress
from fairness_core.training.perceive import perceive

__all__ = ["UCE_NOISE", "Balance", "Edited", "balance", "class_shares", "class_targets"]

# Stage of the noise of the rounds, see ``Sampling``.
UCE_NOISE = "baseline uce"

Measure = Callable[[int], Float[Tensor, "e w"]]


@dataclass(frozen=True)
class Balance:
    """How weights are found.

    Attributes:
        iterations: Rounds of measuring and editing, at least 1.
        step: Change of a weight per unit of missing share, greater than 0.
        tolerance: A concept all of whose shares of an attribute are this near to the target keeps
            its weights for that attribute.
        regularisation: See `edit_matrix`.
    """

    iterations: int
    step: float
    tolerance: float
    regularisation: float

    def __post_init__(self) -> None:
        if self.iterations < 1 or not self.step > 0 or self.tolerance < 0:
            raise ConfigError(
                "Balancing needs an iteration, a step above 0 and a tolerance of at least 0",
                given=(self.iterations, self.step, self.tolerance),
            )


@dataclass(frozen=True)
class Edited:
    """A finished edit.

    Attributes:
        state: Edited weights by their name in the U-Net.
        weights: Of each concept (row) and class (column).
        gaps: Largest distance of a share from its target in each round, mean over concepts.
    """

    state: dict[str, Tensor]
    weights: Float[Tensor, "e w"]
    gaps: tuple[float, ...]


def balance(
    stack: DiffusionStack,
    concepts: Float[Tensor, "e d"],
    classes: Float[Tensor, "w d"],
    preserved: Float[Tensor, "p d"],
    space: AttributeSpace,
    measure: Measure,
    settings: Balance,
    *,
    targets: Float[Tensor, "e w"] | None = None,
) -> Edited:
    """Edit towards ``v_i* = W0 (c_i + sum_k a_ik s_k)`` and adjust a (Gandikota et al. 2024).

    In each round the edited model's shares f are measured and ``a_ik += step (D_k - f_ik)``, for
    the concepts and attributes that are not within tolerance yet. A concept without a face in a
    round keeps its weights. The first round measures the model as it is.

    Args:
        stack: Edited in place; holds the last edit afterwards.
        concepts: Text states c_i.
        classes: Text states s_k of all classes of the space, attribute by attribute.
        preserved: Text states that are to keep their keys and values.
        space: The attributes with their targets D.
        measure: Given a round, the shares of every class for each concept, see `class_shares`.
        settings: Rounds, step, tolerance and regularisation.
        targets: Of each concept, where they differ; None: D of the space for all.
    """
    original = projections(stack)
    target = class_targets(space) if targets is None else targets
    weights = torch.zeros(len(concepts), len(classes))
    state: dict[str, Tensor] = {name: value.cpu() for name, value in original.items()}
    gaps: list[float] = []
    for turn in range(settings.iterations):
        missing = target - measure(turn)
        far = torch.zeros_like(missing, dtype=torch.bool)
        for part in space.slices.values():
            largest = missing[:, part].abs().amax(dim=1, keepdim=True)
            far[:, part] = largest > settings.tolerance
        gaps.append(float(missing.abs().amax(dim=1).nanmean()))
        get_logger("baselines").info(
            "round %d of %d: shares are %.3f from the target",
            turn + 1,
            settings.iterations,
            gaps[-1],
        )
        if not far.any():
            break
        weights = weights + settings.step * torch.where(far, missing, 0.0)
        moved = concepts + weights @ classes
        matrix = edit_matrix(concepts, moved, preserved, regularisation=settings.regularisation)
        state = edited_weights(original, matrix)
        load_edit(stack, state)
    return Edited(state, weights, tuple(gaps))


def class_targets(space: AttributeSpace) -> Float[Tensor, " w"]:
    """Target share of every class, attribute by attribute."""
    return torch.tensor([share for a in space.attributes for share in a.target])


@torch.no_grad()
def class_shares(
    stack: DiffusionStack,
    prompts: Sequence[str],
    detector: FaceDetector,
    classifier: AttributeClassifier,
    space: AttributeSpace,
    sampling: Sampling,
    *,
    images: int,
    turn: int,
) -> Float[Tensor, "e w"]:
    """Shares of every class among the faces of each prompt's images, by the training classifier.

    Args:
        stack: The model as it is now.
        prompts: One a concept.
        detector: Finds the faces.
        classifier: The training classifier.
        space: The attributes that are measured.
        sampling: Noise and sampler.
        images: Images of each prompt.
        turn: The round: every one has its own noise.

    Returns:
        Columns as in ``space``, attribute by attribute; nan for a prompt without any face.
    """
    seen = torch.zeros(len(prompts), space.width)
    faces = torch.zeros(len(prompts), 1)
    places = [(p, i) for p in range(len(prompts)) for i in range(images)]
    size = sampling.batch_size
    starts = range(0, len(places), size)
    for start in progress(starts, total=len(starts), label=f"round {turn + 1} measured"):
        rows = places[start : start + size]
        owners = [p for p, _ in rows]
        numbers = [turn * images + i for _, i in rows]
        shown = sample_images(stack, [prompts[p] for p in owners], numbers, sampling)
        found = perceive(shown, detector, classifier)
        present = found.faces.present.float().cpu()
        faces.index_add_(0, torch.tensor(owners), present[:, None])
        for name, part in space.slices.items():
            hot = torch.nn.functional.one_hot(found.classes[name].cpu(), space[name].size)
            seen[:, part].index_add_(0, torch.tensor(owners), hot.float() * present[:, None])
    return torch.where(faces > 0, seen / faces.clamp(min=1), torch.nan)
