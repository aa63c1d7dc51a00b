"""Every value of a run: name, type, unit and range. One model per section of params.yaml."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from fairness_core.attributes import AttributeSpace
from fairness_core.config.choices import network, source_of_faces
from fairness_core.config.targets import (
    AttributeEntry,
    ClassName,
    JointTable,
    Name,
    Section,
    Share,
    Targets,
    Text,
    pair,
)

__all__ = [
    "AttributeEntry",
    "Audit",
    "Baselines",
    "BuildBank",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "Gate",
    "GenerateImages",
    "GeneratePrompts",
    "JointTable",
    "Models",
    "Params",
    "Publish",
    "Report",
    "Run",
    "Targets",
]


BatchSize = Annotated[int, Field(ge=1, le=65536, description="images per network call")]
LearningRate = Annotated[float, Field(gt=0, le=1, description="AdamW's learning rate")]
Guidance = Annotated[float, Field(ge=1, le=100, description="classifier-free guidance; 1: none")]
Network = Annotated[str | dict[Name, Text], BeforeValidator(network)]
Labels = Annotated[tuple[Text, ...], BeforeValidator(pair)]
SamplingSteps = Annotated[int, Field(ge=1, le=1000)]


class Run(Section):
    """What all steps share."""

    name: str = Field(
        pattern=r"^[\w][\w .+-]*$", max_length=100, description="names the MLflow experiment"
    )
    seed: int = Field(ge=0, lt=2**63, description="enters every seed")
    device: Literal["auto", "cpu", "cuda"] = Field(description="where networks run")
    threads: int = Field(ge=1, le=256, description="CPU threads")
    tracking: bool = Field(description="log to MLflow")


class Models(Section):
    """Local model folders, ``ORG/NAME@REVISION`` of the hub, or ``portraits:NAME`` that ships."""

    base: Text = Field(description="diffusers text-to-image pipeline")
    detector: Text = Field(description="insightface pack")
    detector_size: int = Field(
        ge=32, le=4096, multiple_of=32, description="px, longer side given to the detector"
    )
    second_detector: Text | None = Field(
        description="insightface pack for images in which the first finds no face; null: none"
    )
    second_detector_size: int = Field(
        ge=32, le=4096, multiple_of=32, description="px, longer side given to the second detector"
    )
    face_embedder: Text = Field(description="embedder of the face realism loss and its bank")
    image_text: Text = Field(description="CLIP of the training loss")
    image_self: Text = Field(description="DINOv2 of the training loss")
    audit_image_text: Text = Field(description="CLIP of the evaluation")
    audit_image_self: Text = Field(description="DINOv2 of the evaluation")


class GeneratePrompts(Section):
    """Prompts and how many images each gets in the evaluation."""

    world: Text = Field(description="prompt catalog: portraits, photos, or a file of one's own")
    test_images: int = Field(ge=1, le=10000, description="images per held-out prompt")
    named_images: int = Field(
        ge=1, le=10000, description="images per attribute-naming or stress prompt"
    )


class CalibrateClassifier(Section):
    """The training classifier and the separate one that audits."""

    source: Annotated[str | dict[Name, Text], BeforeValidator(source_of_faces)] = Field(
        description="labelled faces: portraits, fairface:FOLDER, celeba:FOLDER, or by attribute"
    )
    images: int = Field(
        ge=100, le=1_000_000, description="labelled portraits drawn, or pictures used at most"
    )
    size: int = Field(ge=32, le=1024, description="px, side of the crops a network is fitted on")
    merges: dict[Name, dict[ClassName, Labels]] = Field(
        description="attribute to class to labels, in place of the published merges"
    )
    old_from: Literal[3, 10, 20, 30, 40, 50, 60, 70] = Field(
        description="FairFace: years from which a face is old"
    )
    fairface_padding: float = Field(gt=0, le=2, description="FairFace: margin of its pictures")
    epochs: int = Field(ge=1, le=1000, description="passes of the training classifier")
    audit_epochs: int = Field(ge=1, le=1000, description="passes of the audit classifier")
    batch_size: BatchSize
    learning_rate: LearningRate
    train_network: Network = Field(
        description="training classifier: a network, or ready ones by attribute"
    )
    audit_network: Network = Field(description="audit classifier, different from train_network")
    train_weights: Text | None = Field(description="safetensors file that its fit starts from")
    audit_weights: Text | None = Field(description="safetensors file that its fit starts from")


class BuildBank(Section):
    """Faces that nobody generated, for the face realism loss."""

    source: Text = Field(description="where the faces come from: portraits")
    images: int = Field(ge=1, le=10_000_000, description="pictures read, at most")
    batch_size: BatchSize


class Finetune(Section):
    """Adjusted direct finetuning towards the target distribution."""

    align: Annotated[tuple[Name, ...], BeforeValidator(pair)] = Field(
        min_length=1, description="attributes whose distribution is aligned"
    )
    prompt_families: dict[Name, Annotated[int, Field(ge=0, le=10_000)]] = Field(
        default_factory=lambda: {"occupation": 1, "named": 1},
        description="times that each prompt of a family is visited before any repeats",
    )
    iterations: int = Field(ge=1, le=10_000_000, description="optimizer steps, one prompt each")
    images_per_prompt: int = Field(ge=2, le=4096, description="N, over all processes")
    steps: Annotated[tuple[SamplingSteps, SamplingSteps], BeforeValidator(pair)] = Field(
        description="sampling steps, drawn uniformly from first..last"
    )
    gradient_steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        description="K of S steps that get a gradient; null: all"
    )
    gradient_weights: Literal["exact", "reference", "unadjusted"] = Field(
        description="weight of each step's gradient"
    )
    guidance: Guidance
    train_text_encoder: bool = Field(description="LoRA on the text encoder")
    train_unet: bool = Field(description="LoRA on the U-Net")
    rank: int = Field(ge=1, le=1024, description="LoRA rank = alpha")
    learning_rate: LearningRate
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        BeforeValidator(pair),
    ] = Field(description="AdamW's moment decays")
    weight_decay: float = Field(ge=0, le=1, description="AdamW's decoupled decay")
    max_gradient_norm: float = Field(gt=0, description="longer gradients are shortened to this")
    ema_decay: float = Field(ge=0, lt=1, description="average of the weights, with warm-up")
    confidence: float = Field(ge=0, lt=1, description="C: targets below it are not used")
    transport_draws: int = Field(ge=1, le=100_000, description="samples of the joint target")
    lambda_image: float = Field(ge=0, description="weight of the semantics loss")
    lambda_face: float = Field(ge=0, description="weight of the face realism loss; 0: no bank")
    own_face_confidence: Share = Field(
        description="the original's own face is the aim where it is of the target class this surely"
    )
    faces: Literal["largest", "all"] = Field(description="faces of an image that are aligned")
    factor1: dict[Name, Share] = Field(
        description="weight of the semantics loss where target != original class"
    )
    factor2: dict[Name, Share] = Field(description="further factor inside the face region")
    checkpoint_every: int = Field(ge=1, description="iterations between checkpoints")
    batch_size: BatchSize


class Publish(Section):
    """The bundle."""

    weights: Literal["ema", "live"] = Field(description="averaged or last weights")


class GenerateImages(Section):
    """Sampling for the evaluation."""

    steps: SamplingSteps = Field(description="sampling steps")
    guidance: Guidance
    batch_size: BatchSize


class Baselines(Section):
    """Training-free methods that alignment is compared with."""

    methods: Annotated[
        tuple[Literal["intervention", "uce", "debiasvl"], ...], BeforeValidator(pair)
    ] = Field(description="methods compared; none: nothing is compared")
    wording: Text = Field(description="intervention: holds {prompt} or {subject}; {classes}: names")
    attribute_prompt: Text = Field(description="{}: the words of a class")
    words: dict[str, Text] = Field(description="words that ask for a class, where not its name")
    concepts: Annotated[int, Field(ge=1)] | None = Field(
        description="training occupations used, the first; null: all"
    )
    preserve: Annotated[tuple[Text, ...], BeforeValidator(pair)] = Field(
        description="uce: texts whose keys and values are to stay"
    )
    regularisation: float = Field(gt=0, description="uce: weight of |W - W0|^2")
    iterations: int = Field(ge=1, le=1000, description="uce: rounds of measuring and editing")
    images: int = Field(ge=1, le=10_000, description="uce: images of each concept and round")
    step: float = Field(gt=0, le=10, description="uce: weight added per unit of missing share")
    tolerance: float = Field(ge=0, lt=1, description="uce: distance of a share that is near enough")
    strength: float = Field(ge=0, description="debiasvl: weight of the pairs")
    orthogonal: bool = Field(description="debiasvl: start from I - A (A^T A)^-1 A^T instead of I")


class EvaluateBias(Section):
    """What is measured."""

    split: Literal["validation", "test"] = Field(description="held-out prompts")
    also: Annotated[
        tuple[
            Literal[
                "validation",
                "sports",
                "descriptors",
                "styles",
                "triggers",
                "clothing",
                "history",
                "pairs",
            ],
            ...,
        ],
        BeforeValidator(pair),
    ] = Field(default=(), description="further splits, each measured on its own")
    bootstrap: int = Field(ge=100, le=1_000_000, description="resamples for the intervals")
    batch_size: BatchSize


class Audit(Section):
    """An audit of any model or folder of images."""

    images_per_prompt: int = Field(ge=1, le=10000, description="images sampled of each prompt")
    batch_size: BatchSize
    bootstrap: int = Field(ge=100, le=1_000_000, description="resamples for the intervals")
    undecided_below: float = Field(
        gt=0, le=1, description="highest probability under which a face counts as undecided"
    )
    false_claims: float = Field(
        gt=0, lt=1, description="rate of false ones among prompts said to differ from the target"
    )
    labels_per_class: int = Field(ge=1, description="labelled faces of a class for a correction")


class Gate(Section):
    """Release."""

    model: Text = Field(description="name of the registered MLflow model")
    draws: int = Field(ge=100, le=1_000_000, description="draws for the worst prompt's interval")


class Report(Section):
    """What is shown."""

    images_per_prompt: int = Field(ge=1, le=200, description="pictures shown per prompt")


class Params(Section):
    """A whole run."""

    run: Run
    models: Models
    attributes: dict[Name, AttributeEntry] = Field(min_length=1)
    targets: Targets = Field(default_factory=Targets)
    generate_prompts: GeneratePrompts
    calibrate_classifier: CalibrateClassifier
    build_bank: BuildBank
    finetune: Finetune
    publish: Publish
    generate_images: GenerateImages
    baselines: Baselines
    evaluate_bias: EvaluateBias
    report: Report
    audit: Audit
    gate: Gate

    @cached_property
    def attribute_space(self) -> AttributeSpace:
        """The attributes, their classes and targets."""
        joint = self.section("targets")["joint"]
        return AttributeSpace.from_mapping(self.section("attributes"), joint)

    def section(self, name: str) -> dict[str, Any]:
        """One section as plain values: dicts, lists, text, numbers, as params.yaml has them.

        Raises:
            KeyError: No such section.
        """
        plain: dict[str, Any] = self.model_dump(mode="json", include={name})[name]
        return plain
