"""What finetuning works with, put together from the parameters, and the run's fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fairness_core import __version__
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Finetune
from fairness_core.diffusion import DiffusionStack, LoraSpec, add_lora, add_soft_tokens
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.faces.backends.insightface import InsightFaceDetector
from fairness_core.portraits.models import resolve
from fairness_core.runtime.artifacts import sha256_file
from fairness_core.runtime.distributed import World
from fairness_core.runtime.seeds import generator
from fairness_core.training import Models, Schedule
from fairness_core.training import Settings as StepSettings

if TYPE_CHECKING:
    from components.step import Settings

__all__ = ["assemble", "fingerprint"]

MODEL_FILES = {".safetensors", ".onnx", ".json", ".txt"}


def assemble(
    section: Finetune,
    models: Mapping[str, Any],
    space: AttributeSpace,
    classifiers: Path,
    world: World,
    settings: Settings,
) -> tuple[Models, StepSettings, Schedule]:
    """Load the models, add the adapters, and say what each iteration and the run are told."""
    device = world.device
    stack = DiffusionStack.load(resolve(models["base"]), device=device)
    draws = generator("adapters", settings.seed)
    if section.soft_tokens:
        add_soft_tokens(stack, section.soft_tokens, generator=draws)
    else:
        spec = LoraSpec(section.rank, section.alpha)
        add_lora(
            stack,
            text_encoder=spec if section.train_text_encoder else None,
            unet=spec if section.train_unet else None,
            generator=draws,
        )
    classifier = AttributeClassifier.load(classifiers / "train", space).to(device)
    parts = Models(
        stack=stack,
        detector=InsightFaceDetector(resolve(models["detector"]), det_size=models["detector_size"]),
        classifier=classifier,
        image_text=ImageTextEncoder.load(resolve(models["image_text"]), device=device),
        image_self=ImageSelfEncoder.load(resolve(models["image_self"]), device=device),
    )
    told = StepSettings(
        space=space.subset(section.align),
        guidance=section.guidance,
        gradient_steps=section.gradient_steps,
        gradient_weights=section.gradient_weights,
        confidence=section.confidence,
        transport_draws=section.transport_draws,
        lambda_image=section.lambda_image,
        factor1=section.factor1,
        factor2=section.factor2,
        batch_size=section.batch_size,
    )
    schedule = Schedule(
        iterations=section.iterations,
        images=section.images_per_prompt,
        steps=section.steps,
        learning_rate=section.learning_rate,
        betas=section.betas,
        weight_decay=section.weight_decay,
        max_gradient_norm=section.max_gradient_norm,
        ema_decay=section.ema_decay,
        checkpoint_every=section.checkpoint_every,
        seed=settings.seed,
    )
    return parts, told, schedule


def fingerprint(
    finetune: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    settings: Settings,
    prompts: Path,
    classifiers: Path,
) -> str:
    """Hash of everything that decides the result, whatever the number of processes."""
    used = ("base", "detector", "image_text", "image_self")
    decides: dict[str, Any] = {
        "version": __version__,
        "seed": settings.seed,
        "attributes": dict(attributes),
        "finetune": dict(finetune),
        "detector_size": models["detector_size"],
        "prompts": sha256_file(prompts / "prompts.parquet"),
        "classifier": _content(classifiers / "train"),
        **{name: _content(resolve(models[name])) for name in used},
    }
    # How often the state is saved has no influence.
    decides["finetune"].pop("checkpoint_every")
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder that loading can read, by its path inside."""
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in MODEL_FILES and path.is_file()
    }
