"""Pieces that the pipelines share: images made and measured in shards, and what reports on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kfp import dsl

from components.evaluate_bias.component import evaluate_bias
from components.generate_baselines.component import generate_baselines
from components.generate_images.component import generate_images, merge_images
from components.measure_images.component import measure_images
from components.report.component import report
from pipelines.resources import Placement

__all__ = ["Judged", "Measured", "images_of", "measure_and_report"]


@dataclass(frozen=True)
class Measured:
    """Outputs of earlier tasks that are measured and reported."""

    prompts: Any
    classifiers: Any
    finetuned: Any
    bundle: Any


@dataclass(frozen=True)
class Judged:
    """What the gate reads of evaluation and report."""

    evaluation: Any
    metrics: Any
    report: Any


def _each(shards: int, name: str) -> dsl.ParallelFor:
    """A loop over the shards."""
    return dsl.ParallelFor(
        name=name, items=[f"{number}/{shards}" for number in range(1, shards + 1)]
    )


def images_of(
    model: str, parameters: Any, inputs: Measured, placement: Placement, shards: int
) -> Any:
    """Sample one model's images in parallel shards and put them together.

    Returns:
        The output ``images`` of the task that puts them together.
    """
    bundle = {"bundle": inputs.bundle} if model == "aligned" else {}
    with _each(shards, f"shards-{model}") as shard:
        one = generate_images(
            parameters=parameters, model=model, shard=shard, prompts=inputs.prompts, **bundle
        )
        placement.apply(one, "generate_images", f"Sample {model} images")
    merged = merge_images(
        parameters=parameters, model=model, shards=dsl.Collected(one.outputs["images"])
    )
    placement.apply(merged, "merge_images", f"Join {model} images")
    return merged.outputs["images"]


def measure_and_report(
    parameters: dict[str, Any], policy: Any, inputs: Measured, placement: Placement, shards: int
) -> Judged:
    """Sample both models and the baselines, measure them in shards, write the report."""
    images = {
        model: images_of(model, parameters["generate_images"], inputs, placement, shards)
        for model in ("base", "aligned")
    }
    others = generate_baselines(
        parameters=parameters["generate_baselines"],
        prompts=inputs.prompts,
        classifiers=inputs.classifiers,
    )
    placement.apply(others, "generate_baselines", "Sample baselines")
    with _each(shards, "shards-measured") as shard:
        seen = measure_images(
            parameters=parameters["measure_images"],
            shard=shard,
            prompts=inputs.prompts,
            classifiers=inputs.classifiers,
            **images,
            baselines=others.outputs["baselines"],
        )
        placement.apply(seen, "measure_images", "Measure images")
    evaluated = evaluate_bias(
        parameters=parameters["evaluate_bias"],
        prompts=inputs.prompts,
        measured=dsl.Collected(seen.outputs["measurements"]),
    )
    placement.apply(evaluated, "evaluate_bias", "Evaluate bias")
    reported = report(
        parameters=parameters["report"],
        policy=policy,
        prompts=inputs.prompts,
        classifiers=inputs.classifiers,
        finetuned=inputs.finetuned,
        bundle=inputs.bundle,
        **images,
        evaluation=evaluated.outputs["evaluation"],
        metrics=evaluated.outputs["metrics"],
    )
    placement.apply(reported, "report", "Report")
    return Judged(
        evaluation=evaluated.outputs["evaluation"],
        metrics=evaluated.outputs["metrics"],
        report=reported.outputs["folder"],
    )
