"""Values of the steps that come after training: one model per section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fairness_core.config.choices import Sampler
from fairness_core.config.targets import Section, Text, pair

__all__ = [
    "Audit",
    "Baselines",
    "BatchSize",
    "EvaluateBias",
    "Gate",
    "GenerateImages",
    "Guidance",
    "MeasureImages",
    "Publish",
    "Report",
    "SamplingSteps",
    "Sweep",
]

BatchSize = Annotated[int, Field(ge=1, le=65536, description="images per network call")]
Guidance = Annotated[float, Field(ge=1, le=100, description="classifier-free guidance; 1: none")]
SamplingSteps = Annotated[int, Field(ge=1, le=1000)]


class Publish(Section):
    """The bundle."""

    weights: Literal["ema", "live"] = Field(description="averaged or last weights")


class GenerateImages(Section):
    """Sampling for the evaluation."""

    steps: SamplingSteps = Field(description="sampling steps")
    guidance: Guidance
    batch_size: BatchSize
    decode_batch_size: BatchSize | None = Field(
        default=None, description="images decoded at once; null: batch_size"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="type of the diffusion model's weights, base and aligned"
    )


class Baselines(Section):
    """Training-free methods that alignment is compared with."""

    methods: Annotated[
        tuple[Literal["intervention", "uce", "debiasvl"], ...], BeforeValidator(pair)
    ] = Field(description="methods compared; none: nothing is compared")
    wording: Text = Field(
        description="intervention: holds {prompt} or {subject}; {attributes}, {classes}: names"
    )
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


class MeasureImages(Section):
    """What the networks see in the images."""

    batch_size: BatchSize


class EvaluateBias(Section):
    """What is compared."""

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
    pictures: int = Field(default=40, ge=0, le=200, description="pictures per prompt on its page")


class Gate(Section):
    """Release."""

    model: Text = Field(description="name of the registered MLflow model")
    draws: int = Field(ge=100, le=1_000_000, description="draws for the worst prompt's interval")
    enforce: bool = Field(
        default=True, description="whether a policy that is not met ends the run with status 3"
    )


class Report(Section):
    """What is shown."""

    images_per_prompt: int = Field(ge=1, le=200, description="pictures shown per prompt")


class Sweep(Section):
    """Figures by setting of the sampler, each varied around generate_images."""

    split: Literal["validation", "test"] = Field(default="test", description="held-out prompts")
    prompts: int = Field(default=8, ge=1, description="of the split, evenly spread")
    images: int = Field(default=20, ge=1, le=10000, description="per prompt, setting and model")
    guidance: Annotated[tuple[Guidance, ...], BeforeValidator(pair)] = Field(
        default=(1.0, 2.0, 5.0, 7.5), description="further guidance scales"
    )
    steps: Annotated[tuple[SamplingSteps, ...], BeforeValidator(pair)] = Field(
        default=(8, 12, 40), description="further numbers of steps"
    )
    samplers: Annotated[tuple[Sampler, ...], BeforeValidator(pair)] = Field(
        default=("ddim", "euler", "unipc"), description="beside the run's own"
    )
    bootstrap: int = Field(default=1000, ge=100, le=1_000_000, description="resamples")
