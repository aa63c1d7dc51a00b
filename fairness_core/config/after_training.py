"""Values of the steps that come after training: one model per section of params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from fairness_core.config.targets import Section, Text, pair

__all__ = [
    "Audit",
    "BatchSize",
    "EvaluateBias",
    "Gate",
    "GenerateImages",
    "Guidance",
    "Publish",
    "Report",
    "SamplingSteps",
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
