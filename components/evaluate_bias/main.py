"""Compare base, aligned and baselines on held-out prompts by what ``measure_images`` saw.

Bias per prompt beside what a fair sampler would score, the change with its intervals, image
quality, and attribute-naming prompts. No network is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate_bias.headline import headline, lines
from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "evaluate_bias"


def run(
    *,
    split: str,
    also: Sequence[str],
    bootstrap: int,
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    prompts: Path,
    measured: Sequence[Path],
    settings: Settings,
    out: Path,
    metrics: Path,
) -> None:
    """Write faces, quality and per-prompt tables, and ``evaluation.json``.

    Args:
        split: Held-out split that bias and quality are about.
        also: Further splits, each measured on its own.
        bootstrap: Resamples of the intervals.
        attributes: Section ``attributes``.
        targets: Section ``targets``: its joint table, if there is one.
        prompts: Folder of ``generate_prompts``.
        measured: Folder of ``measure_images``, or those of all its shards in any order.
        settings: Section ``run``.
        out: Folder to write.
        metrics: JSON file for the figures.

    Raises:
        ArtifactError: An input is missing or damaged; a shard is missing, there twice or of other
            settings; or prompts or attributes are not those that were measured.
        FaceError: No image of a model shows a face.
    """
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.evaluation import (
        Bootstrap,
        check_measured,
        compare_all,
        drift_figures,
        prompt_table,
        quality_table,
        read_measurements,
    )
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

    check_output(out, "evaluation", [prompts, *measured, metrics])
    with open_step(STEP, settings, {"split": split, "bootstrap": bootstrap}) as step:
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        verify(prompts, kind="prompts")
        catalog = read_table(prompts / "prompts.parquet")
        seen, told = read_measurements(measured)
        check_measured(told, space, sha256_file(prompts / "prompts.parquet"))
        step.tracker.inputs(
            {"prompts": prompts, **{f"measurements {i}": f for i, f in enumerate(measured, 1)}},
            "evaluation",
        )
        made, methods = told["models"], told["methods"]
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
            write_manifest(folder, "evaluation", audit_sha256=told["audit_sha256"])
        write_json(evaluation, metrics)
        for line in lines(evaluation):
            step.log.info("%s", line)
        step.tracker.metrics(headline(evaluation))
        step.tracker.artifact(metrics)
        step.tracker.artifact(out / "prompts.parquet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--prompts", type=Path, default=Path("artifacts/prompts"), help="read")
    parser.add_argument(
        "--measured",
        type=Path,
        action="append",
        metavar="FOLDER",
        help="read; repeat for the shards; artifacts/measurements if not given",
    )
    parser.add_argument("--out", type=Path, default=Path("artifacts/evaluation"), help="written")
    parser.add_argument(
        "--metrics", type=Path, default=Path("metrics/evaluation.json"), help="written"
    )

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            prompts=args.prompts,
            measured=args.measured or [Path("artifacts/measurements")],
            settings=settings,
            out=args.out,
            metrics=args.metrics,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
