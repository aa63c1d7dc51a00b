"""Finetune adapters on the training prompts; resumes from the last checkpoint of the same run.

Reads the prompts and the training classifier; writes ``live.safetensors``, ``ema.safetensors``,
``log.parquet`` and a manifest, and the last iterations' means as metrics.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save_file

from components.command import step_command
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Params
from fairness_core.diffusion import DiffusionStack, LoraSpec, add_lora, trainable
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.faces.backends.insightface import InsightFaceDetector
from fairness_core.portraits.models import resolve
from fairness_core.prompts import named_column
from fairness_core.runtime.artifacts import (
    atomic_folder,
    read_table,
    sha256_file,
    verify,
    write_json,
    write_manifest,
    write_table,
)
from fairness_core.runtime.distributed import World
from fairness_core.runtime.logs import get_logger
from fairness_core.runtime.seeds import generator
from fairness_core.runtime.tracking import Tracker
from fairness_core.training import (
    Finetuned,
    Models,
    Schedule,
    Settings,
    clear_checkpoints,
    finetune,
)

__all__ = ["run"]

MODEL_FILES = {".safetensors", ".onnx", ".json", ".txt"}
# Iterations over which the metrics average: one batch of 16 faces says little.
LAST = 25

_logger = get_logger("finetune")


def run(
    params: Params,
    *,
    prompts: Path,
    classifiers: Path,
    checkpoints: Path,
    output: Path,
    metrics: Path,
    tracker: Tracker,
    world: World,
) -> None:
    """Train and write the adapters.

    Args:
        params: Sections run, models, attributes and finetune are read.
        prompts: Folder of ``generate_prompts``; its split ``train`` is used.
        classifiers: Folder of ``calibrate_classifier``; its ``train`` is used.
        checkpoints: Where the state is kept while the run lasts.
        output: Folder for weights and log.
        metrics: JSON file for the metrics.
        tracker: Of this step.
        world: The processes.
    """
    verify(prompts)
    verify(classifiers)
    table = read_table(prompts / "prompts.parquet")
    rows = table[table["split"] == "train"]
    train = rows["prompt"].tolist()
    named = {
        str(row["prompt"]): {
            name: str(row[named_column(name)])
            for name in params.attribute_space.names
            if pd.notna(row[named_column(name)])
        }
        for _, row in rows.iterrows()
    }
    models, settings, schedule = _assemble(params, classifiers, world)
    fingerprint = _fingerprint(params, prompts, classifiers)
    sizes = {name: p.numel() for name, p in trainable(models.stack).items()}
    _logger.info(
        "Training %d adapter weights on %d prompts, %d processes",
        sum(sizes.values()),
        len(train),
        world.size,
    )
    began = time.monotonic()
    result = finetune(
        models,
        settings,
        schedule,
        world,
        prompts=train,
        checkpoints=checkpoints,
        fingerprint=fingerprint,
        named=named,
        on_iteration=lambda i, row: tracker.metrics(row, step=i),
    )
    if world.is_main:
        _write(result, output, params)
        summary = _summary(result.log, time.monotonic() - began)
        write_json(summary, metrics)
        tracker.metrics({k: v for k, v in summary.items() if isinstance(v, float)})
        tracker.artifact(output / "ema.safetensors")
        # The result is complete: a later run starts anew instead of finding itself finished.
        clear_checkpoints(checkpoints, fingerprint)
    world.barrier()


def _assemble(params: Params, classifiers: Path, world: World) -> tuple[Models, Settings, Schedule]:
    section, device = params.finetune, world.device
    space = params.attribute_space
    stack = DiffusionStack.load(resolve(params.models.base), device=device)
    spec = LoraSpec(section.rank)
    add_lora(
        stack,
        text_encoder=spec if section.train_text_encoder else None,
        unet=spec if section.train_unet else None,
        generator=generator("adapters", params.run.seed),
    )
    classifier = AttributeClassifier.load(classifiers / "train", space).to(device)
    models = Models(
        stack=stack,
        detector=InsightFaceDetector(
            resolve(params.models.detector), det_size=params.models.detector_size
        ),
        classifier=classifier,
        image_text=ImageTextEncoder.load(resolve(params.models.image_text), device=device),
        image_self=ImageSelfEncoder.load(resolve(params.models.image_self), device=device),
    )
    settings = Settings(
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
        ema_decay=section.ema_decay,
        checkpoint_every=section.checkpoint_every,
        seed=params.run.seed,
    )
    return models, settings, schedule


def _fingerprint(params: Params, prompts: Path, classifiers: Path) -> str:
    """Hash of everything that decides the result, whatever the number of processes."""
    used = ("base", "detector", "image_text", "image_self")
    models = params.section("models")
    decides: dict[str, Any] = {
        "seed": params.run.seed,
        "attributes": params.section("attributes"),
        "finetune": params.section("finetune"),
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


def _write(result: Finetuned, output: Path, params: Params) -> None:
    with atomic_folder(output) as folder:
        save_file(result.live, folder / "live.safetensors")
        save_file(result.average, folder / "ema.safetensors")
        write_table(result.log, folder / "log.parquet")
        write_manifest(
            folder, "finetune", rank=params.finetune.rank, iterations=params.finetune.iterations
        )


def _summary(log: pd.DataFrame, seconds: float) -> Mapping[str, Any]:
    last = log.tail(LAST)
    means = {
        name: float(last[name].mean())
        for name in log.columns
        if name.startswith(("loss_", "used_")) or name == "face_rate"
    }
    calls = {name: float(log[f"network_{name}"].sum()) for name in ("forwards", "backwards")}
    return {
        "iterations": len(log),
        "last_iterations_averaged": len(last),
        **means,
        "network_forwards": calls["forwards"],
        "network_backwards": calls["backwards"],
        "seconds": float(log["seconds"].sum()),
        "seconds_this_start": seconds,
    }


if __name__ == "__main__":
    step_command("finetune", run, sections=("run", "models", "attributes", "finetune"))
