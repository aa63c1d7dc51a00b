"""What a run and its iterations work with, are told, and give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.diffusion import DiffusionStack, StepChoice, WeightMode
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.faces import FaceDetector
from fairness_core.losses.weights import Unsure
from fairness_core.training.realism import Realism

__all__ = ["Models", "Schedule", "Settings", "StepResult"]


@dataclass(frozen=True)
class Models:
    """Everything an iteration looks through. Only the stack's adapters train.

    ``realism`` is there only where the face realism loss has a weight.
    """

    stack: DiffusionStack
    detector: FaceDetector
    classifier: AttributeClassifier
    image_text: ImageTextEncoder
    image_self: ImageSelfEncoder
    realism: Realism | None = None


@dataclass(frozen=True)
class Settings:
    """What an iteration is told; see params.yaml for units and ranges.

    Attributes:
        space: Attributes to align, with their targets.
        guidance: g, at least 1.
        gradient_steps: K of the S steps that get a gradient; all when None.
        gradient_choice: How the K steps are drawn, see ``choose_steps``.
        gradient_weights: exact, reference or unadjusted; ``full``: no weights, the gradient through
            the whole sampler.
        confidence: C: targets below it take no part.
        transport_draws: Count vectors drawn for sampled joint targets.
        lambda_image: Weight of the semantics loss.
        factor1: Its factor where target and original class differ, per attribute.
        factor2: Its gradient's further factor inside the face region, per attribute.
        unsure: Whether the semantics loss loosens faces whose target is below C, see
            ``dynamic_weights``.
        batch_size: Images per network call.
        loss_batch_size: Images decoded and judged at once; None: ``batch_size``.
        lambda_face: Weight of the face realism loss; 0 leaves it out.
        own_face_confidence: The original's own face is the target of the realism loss where the
            original is of the target class with at least this probability.
        faces: ``largest``: one face of each image counts; ``all``: every face does.
        guided_gradient: ``both`` branches of guidance, or ``text`` alone: half the network calls
            of the gradient, the empty prompt's embedding held fixed.
    """

    space: AttributeSpace
    guidance: float
    gradient_steps: int | None
    gradient_weights: WeightMode | Literal["full"]
    confidence: float
    transport_draws: int
    lambda_image: float
    factor1: Mapping[str, float]
    factor2: Mapping[str, float]
    batch_size: int
    lambda_face: float = 0.0
    own_face_confidence: float = 0.9
    faces: Literal["largest", "all"] = "largest"
    guided_gradient: Literal["both", "text"] = "both"
    gradient_choice: StepChoice = "uniform"
    unsure: Unsure = "held"
    loss_batch_size: int | None = None

    @property
    def judged(self) -> int:
        """Images decoded and judged at once."""
        return self.loss_batch_size or self.batch_size


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        iterations: Iterations in all.
        images: N, images per iteration over all processes.
        steps: Fewest and most sampling steps; each iteration draws one number between.
        learning_rate: AdamW's.
        betas: AdamW.
        weight_decay: AdamW.
        max_gradient_norm: The gradient is shortened to this Euclidean norm.
        ema_decay: Of the moving average.
        checkpoint_every: Iterations between checkpoints.
        seed: Enters every random stream.
        decay: Share of the iterations, the last ones, over which the learning rate falls linearly
            to 0; 0: it is constant.
        noise_seed: Enters the prompts' order, the images' noise and the numbers of steps in place
            of ``seed``, so that runs can share them, and the originals; None: ``seed``.
        noise_sets: Sets of noise and number of steps of each prompt, taken in turn by its visits;
            None: new ones at every visit.
    """

    iterations: int
    images: int
    steps: tuple[int, int]
    learning_rate: float
    betas: tuple[float, float]
    weight_decay: float
    max_gradient_norm: float
    ema_decay: float
    checkpoint_every: int
    seed: int
    decay: float = 0.0
    noise_seed: int | None = None
    noise_sets: int | None = None

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0; above 0."""
        falling = self.decay * self.iterations
        left = self.iterations - iteration
        return self.learning_rate * (min(1.0, left / falling) if falling else 1.0)


@dataclass(frozen=True)
class StepResult:
    """What an iteration measured, over all processes.

    Attributes:
        losses: total, align, image, align_<attribute> of those aligned, and face where it has a
            weight; align and total count attributes that are only held.
        shares: Per attribute, share of each class among the faces (argmax); NaN without faces.
        used: Per attribute, share of the faces whose target was confident enough.
        faces: Faces: at most one of each image, or all of them.
        with_face: Images with a face.
        images: Images.
    """

    losses: dict[str, float]
    shares: dict[str, tuple[float, ...]]
    used: dict[str, float]
    faces: int
    with_face: int
    images: int
