"""Compare what the base model draws with what was planted, at guidance 1 and at the default.

At guidance 1 a diffusion model samples the distribution that it learnt, so its class shares should
be the planted ones; larger guidance amplifies them. Not part of a run: it checks the shipped world.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from components.command import step_command
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Params
from fairness_core.diffusion import DiffusionStack
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.evaluation import (
    Bootstrap,
    Instruments,
    Sampling,
    assess,
    generate_folder,
    plan_images,
    planted_difference,
)
from fairness_core.faces.backends.insightface import InsightFaceDetector
from fairness_core.metrics import count_faces, parity_gaps
from fairness_core.portraits.models import resolve
from fairness_core.portraits.world import catalog
from fairness_core.prompts import planted_shares
from fairness_core.runtime.artifacts import read_table, write_json
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.tracking import Tracker

__all__ = ["run"]

RESAMPLES = 1000

_logger = get_logger("check_portraits")


def run(
    params: Params,
    *,
    classifiers: Path,
    work: Path,
    output: Path,
    tracker: Tracker,
    device: torch.device,
    images: str = "32",
    split: str = "test",
) -> None:
    """Generate, measure and compare, one set of images per guidance.

    Args:
        params: Sections run, models, attributes and generate_images are read.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` is used.
        work: Folder for the images; going on in it saves what is there.
        output: JSON file for the figures.
        tracker: Of this command.
        device: Where the networks run.
        images: Images per occupation.
        split: A split with planted truth, or ``all`` for every occupation.
    """
    space = params.attribute_space
    prompts = catalog()
    prompts = prompts[prompts["family"] == "occupation"]
    if split != "all":
        prompts = prompts[prompts["split"] == split]
    instruments = Instruments(
        detector=InsightFaceDetector(
            resolve(params.models.detector), det_size=params.models.detector_size
        ),
        classifier=AttributeClassifier.load(classifiers / "audit", space).to(device),
        image_text=ImageTextEncoder.load(resolve(params.models.audit_image_text), device=device),
        image_self=ImageSelfEncoder.load(resolve(params.models.audit_image_self), device=device),
        device=device,
    )
    stack = DiffusionStack.load(resolve(params.models.base), device=device)
    figures: dict[str, Any] = {"images_per_occupation": int(images), "occupations": len(prompts)}
    for guidance in (1.0, params.generate_images.guidance):
        sampling = Sampling(
            stage="check-portraits",
            seed=params.run.seed,
            guidance=guidance,
            steps=params.generate_images.steps,
            batch_size=params.generate_images.batch_size,
        )
        counts = pd.DataFrame({"prompt_id": prompts["prompt_id"], "images": int(images)})
        rows = plan_images(prompts, counts, sampling, model="base")
        folder = work / f"guidance-{guidance:g}"
        generate_folder(stack, rows, folder, sampling, recipe={"base": params.models.base})
        seen = assess(
            read_table(folder / "images.parquet"),
            folder,
            prompts,
            instruments,
            space,
            batch_size=params.evaluate_bias.batch_size,
        )
        figures[f"guidance_{guidance:g}"] = _against_truth(seen.faces, prompts, params)
    write_json(figures, output)
    _logger.info("Wrote %s", output)
    tracker.artifact(output)


def _against_truth(faces: pd.DataFrame, prompts: pd.DataFrame, params: Params) -> dict[str, Any]:
    space = params.attribute_space
    found: dict[str, Any] = {}
    for name in space.names:
        counts = count_faces(faces, space, (name,))
        truth = planted_shares(prompts, space, name)
        rng = Bootstrap(params.run.seed, RESAMPLES).rng("check-portraits", name)
        shares = counts.counts / counts.counts.sum(axis=1, keepdims=True).clip(min=1)
        found[name] = {
            "against_planted": planted_difference(counts, truth, rng=rng, resamples=RESAMPLES),
            "measured_bias": float(parity_gaps(shares).mean()),
        }
    found["no_face_rate"] = float(1.0 - faces["present"].mean())
    return found


if __name__ == "__main__":
    step_command(
        "check_portraits",
        run,
        sections=("run", "models", "attributes", "generate_images", "evaluate_bias"),
    )
