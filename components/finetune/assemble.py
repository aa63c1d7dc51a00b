"""What finetuning works with, put together from the parameters, and the run's fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diffusers
import torch

from components.step import face_detector
from fairness_core import __version__, diffusion
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Finetune
from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    add_lora,
    add_soft_tokens,
    scheduler_facts,
)
from fairness_core.embeddings import (
    FaceBank,
    ImageSelfEncoder,
    ImageTextEncoder,
    load_face_embedder,
    weights_sha256,
)
from fairness_core.portraits.models import resolve
from fairness_core.runtime import as_dtype, hardware
from fairness_core.runtime.artifacts import sha256_file, verify
from fairness_core.runtime.distributed import World
from fairness_core.runtime.seeds import generator
from fairness_core.training import Models, Originals, Realism, Schedule
from fairness_core.training import Settings as StepSettings
from fairness_core.training import originals as store_code

if TYPE_CHECKING:
    from components.step import Settings

__all__ = ["assemble", "fingerprint", "load_realism", "new_schedule", "originals_store"]

MODEL_FILES = {".safetensors", ".onnx", ".json", ".txt", ".model"}


def assemble(
    section: Finetune,
    models: Mapping[str, Any],
    space: AttributeSpace,
    classifiers: Path,
    bank: Path,
    world: World,
    settings: Settings,
) -> tuple[Models, StepSettings, Schedule]:
    """Load the models, add the adapters, and say what each iteration and the run are told."""
    device = world.device
    stack = DiffusionStack.load(
        resolve(models["base"]),
        device=device,
        dtype=as_dtype(section.precision),
        sampler=models["sampler"],
    )
    if section.checkpointing:
        for network in (stack.network, stack.vae):
            network.enable_gradient_checkpointing()
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
        detector=face_detector(models, device),
        classifier=classifier,
        image_text=ImageTextEncoder.load(
            resolve(models["image_text"]), device=device, images_only=True
        ),
        image_self=ImageSelfEncoder.load(resolve(models["image_self"]), device=device),
        realism=load_realism(section, models, space, bank, device),
    )
    told = StepSettings(
        space=space.subset(section.align),
        guidance=section.guidance,
        gradient_steps=section.gradient_steps,
        gradient_choice=section.gradient_choice,
        gradient_weights=section.gradient_weights,
        confidence=section.confidence,
        transport_draws=section.transport_draws,
        lambda_image=section.lambda_image,
        factor1=section.factor1,
        factor2=section.factor2,
        unsure=section.unsure,
        batch_size=section.batch_size,
        loss_batch_size=section.loss_batch_size,
        lambda_face=section.lambda_face,
        own_face_confidence=section.own_face_confidence,
        faces=section.faces,
        guided_gradient=section.guided_gradient,
    )
    return parts, told, new_schedule(section, settings.seed)


def new_schedule(section: Finetune, seed: int) -> Schedule:
    """What the run is told."""
    return Schedule(
        iterations=section.iterations,
        images=section.images_per_prompt,
        steps=section.steps,
        learning_rate=section.learning_rate,
        decay=section.learning_rate_decay,
        betas=section.betas,
        weight_decay=section.weight_decay,
        max_gradient_norm=section.max_gradient_norm,
        ema_decay=section.ema_decay,
        checkpoint_every=section.checkpoint_every,
        seed=seed,
        noise_seed=section.noise_seed,
        noise_sets=section.noise_sets,
    )


def originals_store(section: Finetune, base: str, stack: DiffusionStack, folder: Path) -> Originals:
    """The store of the frozen model's latents: a part of the folder for all that decides them.

    Beside what is computed that is where: a GPU's name and capability, or a CPU's instructions
    and threads, each of which may split and round sums in another way.

    Args:
        section: Of the parameters.
        base: The base model's name in the parameters.
        stack: The model, on its device.
        folder: Of all stores.
    """
    code = hashlib.sha256()
    places = [Path(diffusion.__path__[0]).rglob("*.py"), [Path(store_code.__file__)]]
    for source in sorted(path for found in places for path in found):
        code.update(source.read_bytes())
    model: dict[str, Any] = {
        "base": _content(resolve(base)),
        "code": code.hexdigest(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        **scheduler_facts(stack.scheduler),
        **hardware(stack.device),
    }
    return Originals(folder, model, section.guidance, section.batch_size)


def load_realism(
    section: Finetune,
    models: Mapping[str, Any],
    space: AttributeSpace,
    bank: Path,
    device: torch.device,
) -> Realism | None:
    """Embedder and bank; neither is read where the realism loss has no weight."""
    if section.lambda_face == 0:
        return None
    verify(bank, kind="face-bank")
    place = resolve(models["face_embedder"])
    return Realism(
        load_face_embedder(place, device=device),
        FaceBank.load(
            bank,
            space.subset(section.align),
            embedder_sha256=weights_sha256(place),
            device=device,
        ),
    )


def fingerprint(
    finetune: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    settings: Settings,
    prompts: Path,
    classifiers: Path,
    bank: Path,
) -> str:
    """Hash of everything that decides the result, whatever the number of processes."""
    used = ["base", "detector", "image_text", "image_self"]
    used += ["second_detector"] if models["second_detector"] is not None else []
    used += ["face_embedder"] if finetune["lambda_face"] > 0 else []
    decides: dict[str, Any] = {
        "version": __version__,
        "seed": settings.seed,
        "attributes": dict(attributes),
        "joint": targets["joint"],
        "sampler": models["sampler"],
        "finetune": dict(finetune),
        "detector_size": [models["detector_size"], models["second_detector_size"]],
        "prompts": sha256_file(prompts / "prompts.parquet"),
        "classifier": _content(classifiers / "train"),
        **{name: _content(resolve(models[name])) for name in used},
    }
    if finetune["lambda_face"] > 0:
        decides["bank"] = verify(bank)["files"]
    # Neither how often the state is saved nor whether originals are kept has an influence.
    for name in ("checkpoint_every", "originals"):
        decides["finetune"].pop(name)
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@cache
def _content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a model folder that loading can read, by its path inside."""
    if folder.is_file():
        return {folder.name: sha256_file(folder)}
    return {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in MODEL_FILES and path.is_file()
    }
