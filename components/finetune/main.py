"""Finetune adapters on the training prompts; resumes from the last checkpoint of the same run.

Reads the prompts and the training classifier; writes ``live.safetensors``, ``ema.safetensors``,
``log.parquet`` and a manifest, and the last iterations' means as metrics.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.torch import save_file

from components.step import Settings, arguments, execute, open_step
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Finetune, Params
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
from fairness_core.runtime.seeds import generator
from fairness_core.training import (
    Finetuned,
    Models,
    Schedule,
    clear_checkpoints,
)
from fairness_core.training import Settings as StepSettings
from fairness_core.training import finetune as train

__all__ = ["main", "run"]

PLACES = {
    "prompts": "artifacts/prompts",
    "classifiers": "artifacts/classifiers",
    "checkpoints": "artifacts/checkpoints",
    "output": "artifacts/finetune",
    "metrics": "metrics/finetune.json",
}
MODEL_FILES = {".safetensors", ".onnx", ".json", ".txt"}
# Iterations over which the metrics average: one batch of 16 faces says little.
LAST = 25


def run(
    *,
    finetune: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    settings: Settings,
    prompts: Path,
    classifiers: Path,
    checkpoints: Path,
    output: Path,
    metrics: Path,
) -> None:
    """Train and write the adapters.

    Args:
        finetune: Section ``finetune``.
        models: Section ``models``.
        attributes: Section ``attributes``.
        settings: Section ``run``.
        prompts: Folder of ``generate_prompts``; its split ``train`` is used.
        classifiers: Folder of ``calibrate_classifier``; its ``train`` is used.
        checkpoints: Where the state is kept while the run lasts.
        output: Folder for weights and log.
        metrics: JSON file for the metrics.
    """
    with open_step("finetune", settings, dict(finetune)) as step:
        world = World(step.device)
        verify(prompts)
        verify(classifiers)
        section = Finetune(**finetune)
        space = AttributeSpace.from_mapping(attributes)
        texts, named = _training_prompts(read_table(prompts / "prompts.parquet"), space)
        parts, told, schedule = _assemble(section, models, space, classifiers, world, settings)
        fingerprint = _fingerprint(finetune, models, attributes, settings, prompts, classifiers)
        step.log.info(
            "Training %d adapter weights on %d prompts, %d processes",
            sum(p.numel() for p in trainable(parts.stack).values()),
            len(texts),
            world.size,
        )
        began = time.monotonic()
        result = train(
            parts,
            told,
            schedule,
            world,
            prompts=texts,
            checkpoints=checkpoints,
            fingerprint=fingerprint,
            named=named,
            on_iteration=lambda i, row: step.tracker.metrics(row, step=i),
        )
        if world.is_main:
            _write(result, output, section)
            summary = _summary(result.log, time.monotonic() - began)
            write_json(summary, metrics)
            step.tracker.metrics({k: v for k, v in summary.items() if isinstance(v, float)})
            step.tracker.artifact(output / "ema.safetensors")
            # The result is complete: a later run starts anew instead of finding itself finished.
            clear_checkpoints(checkpoints, fingerprint)
        world.barrier()


def _training_prompts(
    table: pd.DataFrame, space: AttributeSpace
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Texts of the training prompts, and the classes that some of them ask for."""
    rows = table[table["split"] == "train"]
    named = {
        str(row["prompt"]): {
            name: str(row[named_column(name)])
            for name in space.names
            if pd.notna(row.get(named_column(name)))
        }
        for _, row in rows.iterrows()
    }
    return rows["prompt"].tolist(), named


def _assemble(
    section: Finetune,
    models: Mapping[str, Any],
    space: AttributeSpace,
    classifiers: Path,
    world: World,
    settings: Settings,
) -> tuple[Models, StepSettings, Schedule]:
    device = world.device
    stack = DiffusionStack.load(resolve(models["base"]), device=device)
    spec = LoraSpec(section.rank)
    add_lora(
        stack,
        text_encoder=spec if section.train_text_encoder else None,
        unet=spec if section.train_unet else None,
        generator=generator("adapters", settings.seed),
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
        ema_decay=section.ema_decay,
        checkpoint_every=section.checkpoint_every,
        seed=settings.seed,
    )
    return parts, told, schedule


def _fingerprint(
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


def _write(result: Finetuned, output: Path, section: Finetune) -> None:
    with atomic_folder(output) as folder:
        save_file(result.live, folder / "live.safetensors")
        save_file(result.average, folder / "ema.safetensors")
        write_table(result.log, folder / "log.parquet")
        write_manifest(folder, "finetune", rank=section.rank, iterations=section.iterations)


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments("finetune", __doc__)
    for name, place in PLACES.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(place))

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            finetune=params.section("finetune"),
            models=params.section("models"),
            attributes=params.section("attributes"),
            settings=settings,
            **{name: getattr(args, name) for name in PLACES},
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
