"""Finetune adapters on the training prompts; resumes from the last checkpoint of the same run.

Reads the prompts and the training classifier; writes ``live.safetensors``, ``ema.safetensors``,
``log.parquet`` and a manifest, and the last iterations' means as metrics.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute, open_step
from components.task import ORIGINALS, kept_checkpoints, kept_originals

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.config import Params
    from fairness_core.training import Finetuned

__all__ = ["main", "run"]

PLACES = {
    "prompts": "artifacts/prompts",
    "classifiers": "artifacts/classifiers",
    "bank": "artifacts/bank",
    "checkpoints": "artifacts/checkpoints",
    "out": "artifacts/finetune",
    "metrics": "metrics/finetune.json",
}
KIND = "finetune"
# Iterations over which the metrics average: one batch of 16 faces says little.
LAST = 25


def run(
    *,
    finetune: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    settings: Settings,
    prompts: Path,
    classifiers: Path,
    bank: Path,
    checkpoints: Path,
    originals: Path,
    out: Path,
    metrics: Path,
) -> None:
    """Train and write the adapters.

    Args:
        finetune: Section ``finetune``.
        models: Section ``models``.
        attributes: Section ``attributes``.
        targets: Section ``targets``: its joint table, if there is one.
        settings: Section ``run``.
        prompts: Folder of ``generate_prompts``; the families of its split
            ``train`` that ``finetune.prompt_families`` names are used.
        classifiers: Folder of ``calibrate_classifier``; its ``train`` is used.
        bank: Folder of ``build_bank``; read only where ``lambda_face`` is above 0.
        checkpoints: Where the state is kept while the run lasts.
        originals: Where the frozen model's latents are kept from run to run; used only where
            ``finetune.originals`` is ``stored``.
        out: Folder for weights and log.
        metrics: JSON file for the metrics.

    Raises:
        ArtifactError: The folder may not be replaced, see ``check_output``.
    """
    from components.finetune.assemble import assemble, fingerprint, originals_store
    from components.finetune.prompts import training_prompts, validation_of
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Finetune
    from fairness_core.diffusion import trainable
    from fairness_core.runtime.artifacts import read_table, verify, write_json
    from fairness_core.runtime.distributed import World
    from fairness_core.runtime.outputs import check_output
    from fairness_core.training import clear_checkpoints
    from fairness_core.training import finetune as train

    check_output(out, KIND, [prompts, classifiers, bank, checkpoints, originals, metrics])
    with open_step("finetune", settings, dict(finetune)) as step:
        world = World(step.device)
        verify(prompts)
        verify(classifiers)
        step.tracker.inputs({"prompts": prompts, "classifiers": classifiers}, "training")
        section = Finetune(**finetune)
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        table = read_table(prompts / "prompts.parquet")
        held = section.align if section.hold == "aligned" else space.names
        rows = training_prompts(table, space, section.prompt_families, held)
        parts, told, schedule = assemble(section, models, space, classifiers, bank, world, settings)
        key = fingerprint(
            finetune, models, attributes, targets, settings, prompts, classifiers, bank
        )
        step.log.info(
            "Training %d adapter weights on %d prompts, %d processes",
            sum(p.numel() for p in trainable(parts.stack).values()),
            len(set(rows.texts)),
            world.size,
        )
        validation = validation_of(section, told.space, table, settings.seed)
        kept = None
        if section.originals == "stored":
            kept = originals_store(section, models["base"], parts.stack, originals)
        began = time.monotonic()
        result = train(
            parts,
            told,
            schedule,
            world,
            prompts=rows.texts,
            checkpoints=checkpoints,
            fingerprint=key,
            named=rows.named,
            targets={prompt: own.subset(section.align) for prompt, own in rows.spaces.items()},
            originals=kept,
            validation=validation,
            on_iteration=lambda i, row: step.tracker.metrics(row, step=i),
        )
        if world.is_main:
            _write(result, out, None if section.soft_tokens else section.alpha)
            summary = _summary(result.log, time.monotonic() - began)
            write_json(summary, metrics)
            # Of the last iterations together: another figure than any one iteration's.
            final = {f"final_{k}": v for k, v in summary.items() if isinstance(v, float)}
            step.tracker.metrics(final, step=len(result.log))
            step.tracker.artifact(out / "ema.safetensors")
            # The result is complete: a later run starts anew instead of finding itself finished.
            clear_checkpoints(checkpoints, key)
        world.barrier()
        world.close()


def _write(result: Finetuned, out: Path, alpha: float | None) -> None:
    from safetensors.torch import save_file

    from fairness_core.runtime.artifacts import atomic_folder, write_manifest, write_table

    with atomic_folder(out) as folder:
        save_file(result.live, folder / "live.safetensors")
        save_file(result.average, folder / "ema.safetensors")
        write_table(result.log, folder / "log.parquet")
        write_manifest(folder, KIND, alpha=alpha, iterations=len(result.log))


def _summary(log: pd.DataFrame, seconds: float) -> Mapping[str, Any]:
    last = log.tail(LAST)
    means = {
        name: float(last[name].mean())
        for name in log.columns
        if name.startswith(("loss_", "used_")) or name == "face_rate"
    }
    measured = log.filter(like="validation_").dropna(how="all")
    if len(measured):
        means |= {str(name): float(value) for name, value in measured.iloc[-1].items()}
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
    parser.add_argument("--originals", type=Path, default=kept_originals(), help=f"see {ORIGINALS}")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            finetune=params.section("finetune"),
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            settings=settings,
            **{name: getattr(args, name) for name in (*PLACES, "originals")}
            | {"checkpoints": kept_checkpoints(args.checkpoints, Path(PLACES["checkpoints"]))},
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
