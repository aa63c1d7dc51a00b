"""Measure base, aligned and baselines on held-out prompts with networks that training never saw.

Detect, crop, classify with the audit classifier, embed; then bias per prompt beside what a fair
sampler would score, the change with its intervals, image quality, and attribute-naming prompts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate_bias.headline import headline, lines
from components.step import Settings, arguments, audit_instruments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "evaluate_bias"
WEIGHTS = "model.safetensors"


def run(
    *,
    split: str,
    also: Sequence[str],
    bootstrap: int,
    batch_size: int,
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    prompts: Path,
    classifiers: Path,
    base: Path,
    aligned: Path,
    baselines: Path,
    settings: Settings,
    out: Path,
    metrics: Path,
) -> None:
    """Write faces, quality and per-prompt tables, and ``evaluation.json``.

    Args:
        split: Held-out split that bias and quality are about.
        also: Further splits, each measured on its own.
        bootstrap: Resamples of the intervals.
        batch_size: Images per network call.
        models: Section ``models``.
        attributes: Section ``attributes``.
        targets: Section ``targets``: its joint table, if there is one.
        prompts: Folder of ``generate_prompts``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` measures.
        base: Folder of ``generate_images`` for the base model.
        aligned: The same for the aligned model.
        baselines: Folder of ``generate_baselines``; each of its methods is measured too.
        settings: Section ``run``.
        out: Folder to write.
        metrics: JSON file for the figures.

    Raises:
        ArtifactError: An input is missing or damaged, or the two sets of images do not match.
        FaceError: No image of a model shows a face.
        ModelError: The audit classifier is the one that training used.
        PromptError: There is no prompt of the split.
    """
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.evaluation import (
        Bootstrap,
        assess,
        check_alike,
        check_audit,
        compare_all,
        drift_figures,
        prompt_table,
        quality_table,
    )
    from fairness_core.prompts import select
    from fairness_core.runtime import (
        atomic_folder,
        check_output,
        read_table,
        sha256_file,
        verify,
        write_json,
        write_manifest,
        write_table,
    )

    check_output(out, "evaluation", [prompts, classifiers, base, aligned, baselines, metrics])
    parameters = {"split": split, "bootstrap": bootstrap, "models": models}
    with open_step(STEP, settings, parameters) as step:
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        verify(prompts, kind="prompts")
        catalog = read_table(prompts / "prompts.parquet")
        for name in (split, *also):
            select(catalog, name)
        methods = verify(baselines, kind="baselines")["extra"]["methods"]
        folders = {
            "base": base, "aligned": aligned, **{m: baselines / m / "images" for m in methods},
        }  # fmt: skip
        made = {model: verify(folder, kind="images")["extra"] for model, folder in folders.items()}
        check_alike({model: made[model]["recipe"] for model in folders})
        verify(classifiers, kind="classifiers")
        read = {"prompts": prompts, "classifiers": classifiers}
        step.tracker.inputs(
            {**read, **{f"images {m}": f for m, f in folders.items()}}, "evaluation"
        )
        audit = sha256_file(classifiers / "audit" / WEIGHTS)
        check_audit(
            audit,
            trained_with=(
                sha256_file(classifiers / "train" / WEIGHTS),
                made["aligned"]["recipe"].get("classifier_sha256"),
            ),
        )
        instruments = audit_instruments(models, classifiers, space, step.device)
        seen = {
            model: assess(
                read_table(folders[model] / "images.parquet"),
                folders[model],
                catalog,
                instruments,
                space,
                batch_size=batch_size,
                label=f"{model} model's images measured",
            )
            for model in folders
        }
        faces = pd.concat([part.faces for part in seen.values()], ignore_index=True)
        cosines = [quality_table(part, seen["base"]) for part in seen.values()]
        quality = pd.concat(cosines, ignore_index=True)
        intervals = Bootstrap(settings.seed, bootstrap)
        evaluation = compare_all(
            faces,
            quality,
            catalog,
            space,
            split=split,
            also=also,
            seconds={model: extra["seconds"] for model, extra in made.items()},
            bootstrap=intervals,
            methods=methods,
        )
        for model in ("aligned", *methods):
            place = evaluation if model == "aligned" else evaluation["baselines"][model]
            place |= drift_figures(
                seen["base"], seen[model], space, intervals, split=split, model=model
            )
        recipe = made["base"]["recipe"]
        evaluation |= {name: recipe.get(name) for name in ("guidance", "steps", "scheduler")}
        with atomic_folder(out) as folder:
            write_table(faces, folder / "faces.parquet")
            write_table(quality, folder / "quality.parquet")
            tables = [prompt_table(faces, space, name) for name in (split, *also)]
            write_table(pd.concat(tables, ignore_index=True), folder / "prompts.parquet")
            write_manifest(folder, "evaluation", audit_sha256=audit)
        write_json(evaluation, metrics)
        for line in lines(evaluation):
            step.log.info("%s", line)
        step.tracker.metrics(headline(evaluation))
        step.tracker.artifact(metrics)
        step.tracker.artifact(out / "prompts.parquet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    for name, default in (
        ("prompts", "artifacts/prompts"),
        ("classifiers", "artifacts/classifiers"),
        ("base", "artifacts/images/base"),
        ("aligned", "artifacts/images/aligned"),
        ("baselines", "artifacts/baselines"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(default), help="read")
    parser.add_argument("--out", type=Path, default=Path("artifacts/evaluation"), help="written")
    parser.add_argument(
        "--metrics", type=Path, default=Path("metrics/evaluation.json"), help="written"
    )

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            prompts=args.prompts,
            classifiers=args.classifiers,
            base=args.base,
            aligned=args.aligned,
            baselines=args.baselines,
            settings=settings,
            out=args.out,
            metrics=args.metrics,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
