"""Look at the images of base, aligned and baselines with networks that training never saw.

Detect, crop, classify with the audit classifier, embed. Several processes can measure a shard each;
what ``evaluate_bias`` makes of them does not depend on how many there are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import (
    CLASSIFIER_WEIGHTS,
    Settings,
    arguments,
    audit_instruments,
    execute,
    open_step,
)

if TYPE_CHECKING:
    from fairness_core.config import Params
    from fairness_core.evaluation import Shard

STEP = "measure_images"
# What of section ``models`` looks at the images.
NETWORKS = (
    "detector",
    "detector_size",
    "second_detector",
    "second_detector_size",
    "audit_image_text",
    "audit_image_self",
)


def run(
    *,
    batch_size: int,
    split: str,
    also: Sequence[str],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    prompts: Path,
    classifiers: Path,
    base: Path,
    aligned: Path,
    baselines: Path,
    settings: Settings,
    out: Path,
    shard: Shard | None = None,
) -> None:
    """Write the faces table and the embeddings of all models' images.

    Args:
        batch_size: Images per network call.
        split: Held-out split that will be evaluated.
        also: Further splits.
        models: Section ``models``.
        attributes: Section ``attributes``.
        prompts: Folder of ``generate_prompts``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` measures.
        base: Folder of ``generate_images`` for the base model.
        aligned: The same for the aligned model.
        baselines: Folder of ``generate_baselines``; each of its methods is measured too.
        settings: Section ``run``.
        out: Folder to write.
        shard: The part of each model's images to measure; None: all.

    Raises:
        ArtifactError: An input is missing or damaged, or the two sets of images do not match.
        ModelError: The audit classifier is the one that training used.
        PromptError: There is no prompt of a split.
    """
    import torch

    from fairness_core.attributes import AttributeSpace
    from fairness_core.evaluation import (
        MEASURED_KINDS,
        assess,
        check_alike,
        check_audit,
        classes_of,
        write_measurements,
    )
    from fairness_core.prompts import select
    from fairness_core.runtime import check_output, read_table, sha256_file, verify

    check_output(out, MEASURED_KINDS, [prompts, classifiers, base, aligned, baselines])
    networks = {name: models[name] for name in NETWORKS}
    with open_step(STEP, settings, {"batch_size": batch_size, "models": networks}) as step:
        space = AttributeSpace.from_mapping(attributes)
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
        audit = sha256_file(classifiers / "audit" / CLASSIFIER_WEIGHTS)
        check_audit(
            audit,
            trained_with=(
                sha256_file(classifiers / "train" / CLASSIFIER_WEIGHTS),
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
                shard=shard,
            )
            for model in folders
        }
        recipe = {
            "models": {
                model: {
                    "recipe": extra["recipe"],
                    "seconds": extra["seconds"],
                    "sha256": sha256_file(folders[model] / "manifest.json"),
                }
                for model, extra in made.items()
            },
            "methods": methods,
            "prompts_sha256": sha256_file(prompts / "prompts.parquet"),
            "attributes": classes_of(space),
            "audit_sha256": audit,
            "networks": networks,
            "batch_size": batch_size,
            "device": step.device.type,
            "torch": torch.__version__,
        }
        write_measurements(seen, out, recipe, shard)
        images = sum(len(part.faces) for part in seen.values())
        step.log.info("%d images of %d models measured", images, len(seen))
        step.tracker.metrics({"images": float(images)})


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
    parser.add_argument("--out", type=Path, default=Path("artifacts/measurements"), help="written")
    parser.add_argument("--shard", metavar="NUMBER/OF", help="measure this part alone, such as 2/4")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        from fairness_core.evaluation import Shard

        run(
            **params.section(STEP),
            split=params.evaluate_bias.split,
            also=params.evaluate_bias.also,
            models=params.section("models"),
            attributes=params.section("attributes"),
            prompts=args.prompts,
            classifiers=args.classifiers,
            base=args.base,
            aligned=args.aligned,
            baselines=args.baselines,
            settings=settings,
            out=args.out,
            shard=Shard.parse(args.shard) if args.shard else None,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
