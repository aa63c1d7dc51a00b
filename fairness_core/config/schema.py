"""Every value of a run: name, type, unit and range. One model per section of params.yaml."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fairness_core.attributes import AttributeSpace

__all__ = [
    "AttributeEntry",
    "Baselines",
    "CalibrateClassifier",
    "EvaluateBias",
    "Finetune",
    "GenerateImages",
    "GeneratePrompts",
    "Models",
    "Params",
    "Publish",
    "Report",
    "Run",
]


def _pair(value: Any) -> Any:
    """YAML has lists where the schema has tuples; anything else is the validator's to refuse."""
    return tuple(value) if isinstance(value, list) else value


def _is_share(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1


def _target(value: Any) -> Any:
    shares = isinstance(value, tuple | list) and all(_is_share(share) for share in value)
    if value != "uniform" and not shares:
        raise ValueError("'uniform' or a list of shares in [0, 1], one for each class, is needed")
    return _pair(value)


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _+-]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
BatchSize = Annotated[int, Field(ge=1, le=65536, description="images per network call")]
LearningRate = Annotated[float, Field(gt=0, le=1, description="AdamW's learning rate")]
Guidance = Annotated[float, Field(ge=1, le=100, description="classifier-free guidance; 1: none")]
Share = Annotated[float, Field(ge=0, le=1)]
SamplingSteps = Annotated[int, Field(ge=1, le=1000)]


class Section(BaseModel):
    """Strict, complete and unchangeable."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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
    """Local model folders, or ``portraits:NAME`` for one that ships with the package."""

    base: Text = Field(description="diffusers text-to-image pipeline")
    detector: Text = Field(description="insightface pack")
    detector_size: int = Field(
        ge=32, le=4096, multiple_of=32, description="px, longer side given to the detector"
    )
    image_text: Text = Field(description="CLIP of the training loss")
    image_self: Text = Field(description="DINOv2 of the training loss")
    audit_image_text: Text = Field(description="CLIP of the evaluation")
    audit_image_self: Text = Field(description="DINOv2 of the evaluation")


class AttributeEntry(Section):
    """Classes of one perceived attribute and the distribution wanted over them."""

    classes: Annotated[tuple[ClassName, ...], BeforeValidator(_pair)] = Field(
        min_length=2, description="class names, in the classifier's order"
    )
    target: Annotated[Literal["uniform"] | tuple[float, ...], BeforeValidator(_target)] = Field(
        description="'uniform', or one share for each class, summing to 1"
    )


class GeneratePrompts(Section):
    """Prompts and how many images each gets in the evaluation."""

    world: Text = Field(description="prompt catalog")
    test_images: int = Field(ge=1, le=10000, description="images per held-out prompt")
    named_images: int = Field(ge=1, le=10000, description="images per attribute-naming prompt")


class CalibrateClassifier(Section):
    """The training classifier and the separate one that audits."""

    images: int = Field(ge=100, le=1_000_000, description="labelled portraits drawn")
    epochs: int = Field(ge=1, le=1000, description="passes of the training classifier")
    audit_epochs: int = Field(ge=1, le=1000, description="passes of the audit classifier")
    batch_size: BatchSize
    learning_rate: LearningRate
    train_network: Literal["resnet", "mobilenet"] = Field(description="training classifier")
    audit_network: Literal["resnet", "mobilenet"] = Field(
        description="audit classifier, different from train_network"
    )


class Finetune(Section):
    """Adjusted direct finetuning towards the target distribution."""

    align: Annotated[tuple[Name, ...], BeforeValidator(_pair)] = Field(
        min_length=1, description="attributes whose distribution is aligned"
    )
    iterations: int = Field(ge=1, le=10_000_000, description="optimizer steps, one prompt each")
    images_per_prompt: int = Field(ge=2, le=4096, description="N, over all processes")
    steps: Annotated[tuple[SamplingSteps, SamplingSteps], BeforeValidator(_pair)] = Field(
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
        BeforeValidator(_pair),
    ] = Field(description="AdamW's moment decays")
    weight_decay: float = Field(ge=0, le=1, description="AdamW's decoupled decay")
    max_gradient_norm: float = Field(gt=0, description="longer gradients are shortened to this")
    ema_decay: float = Field(ge=0, lt=1, description="average of the weights, with warm-up")
    confidence: float = Field(ge=0, lt=1, description="C: targets below it are not used")
    transport_draws: int = Field(ge=1, le=100_000, description="samples of the joint target")
    lambda_image: float = Field(ge=0, description="weight of the semantics loss")
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
        tuple[Literal["intervention", "uce", "debiasvl"], ...], BeforeValidator(_pair)
    ] = Field(description="methods compared; none: nothing is compared")
    wording: Text = Field(description="intervention: holds {prompt} or {subject}; {classes}: names")
    attribute_prompt: Text = Field(description="{}: the words of a class")
    words: dict[str, Text] = Field(description="words that ask for a class, where not its name")
    concepts: Annotated[int, Field(ge=1)] | None = Field(
        description="training occupations used, the first; null: all"
    )
    preserve: Annotated[tuple[Text, ...], BeforeValidator(_pair)] = Field(
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
    bootstrap: int = Field(ge=100, le=1_000_000, description="resamples for the intervals")
    batch_size: BatchSize


class Report(Section):
    """What is shown."""

    images_per_prompt: int = Field(ge=1, le=200, description="pictures shown per prompt")


class Params(Section):
    """A whole run."""

    run: Run
    models: Models
    attributes: dict[Name, AttributeEntry] = Field(min_length=1)
    generate_prompts: GeneratePrompts
    calibrate_classifier: CalibrateClassifier
    finetune: Finetune
    publish: Publish
    generate_images: GenerateImages
    baselines: Baselines
    evaluate_bias: EvaluateBias
    report: Report

    @cached_property
    def attribute_space(self) -> AttributeSpace:
        """The attributes, their classes and targets."""
        return AttributeSpace.from_mapping(self.section("attributes"))

    def section(self, name: str) -> dict[str, Any]:
        """One section as plain values: dicts, lists, text, numbers, as params.yaml has them.

        Raises:
            KeyError: No such section.
        """
        plain: dict[str, Any] = self.model_dump(mode="json", include={name})[name]
        return plain
