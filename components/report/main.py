"""Write the report: one HTML file that loads nothing, and the model card with its figures."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.report.inputs import WORLD_NOTE, Inputs, hashes_of, revision
from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "report"
MODELS = ("base", "aligned")


def run(
    *,
    images_per_prompt: int,
    world: str,
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    align: Sequence[str],
    split: str,
    inputs: Inputs,
    policy: Path | None,
    draws: int,
    settings: Settings,
    out: Path,
    figures: Sequence[str] = (),
) -> None:
    """Write ``report.html`` and ``model-card.md``; nothing is measured again.

    Args:
        images_per_prompt: Pictures shown of each prompt and model.
        world: Prompt catalog: the drawn world gets a note that it is one.
        models: Section ``models``.
        attributes: Section ``attributes``.
        targets: Section ``targets``.
        align: Attributes that training aligned.
        split: The held-out split.
        inputs: What the other steps wrote.
        policy: The gate's policy, whose verdict and waivers are printed; None: nothing is judged.
        draws: Section ``gate``: draws for the worst prompt's interval.
        settings: Section ``run``.
        out: Folder to write.
        figures: Formats in which ``figures/`` is written too, see ``write_figures``.

    Raises:
        ArtifactError: An input is missing or damaged.
        ConfigError: A format that there is not.
    """
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import read_policy
    from fairness_core.evaluation import Bootstrap, judge
    from fairness_core.export import BUNDLE_KIND, use_of
    from fairness_core.portraits.models import called
    from fairness_core.reporting import (
        CardFacts,
        ReportData,
        RunFacts,
        build_card,
        build_page,
        split_findings,
        target_facts,
        write_figures,
    )
    from fairness_core.runtime import (
        atomic_folder,
        check_output,
        read_json,
        read_table,
        verify,
        write_manifest,
    )

    check_output(out, "report", [policy, *vars(inputs).values()])
    with open_step(STEP, settings, {"images_per_prompt": images_per_prompt}) as step:
        for folder, kind in (
            (inputs.prompts, "prompts"),
            (inputs.classifiers, "classifiers"),
            (inputs.finetuned, "finetune"),
            (inputs.evaluated, "evaluation"),
        ):
            verify(folder, kind=kind)
        bundled = verify(inputs.bundle, kind=BUNDLE_KIND)["extra"]
        use = use_of(bundled["soft_tokens"], bundled.get("sampler"))
        folders = {"base": inputs.base, "aligned": inputs.aligned}
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        prompts = read_table(inputs.prompts / "prompts.parquet")
        tables = [read_table(folders[model] / "images.parquet") for model in MODELS]
        evaluation = read_json(inputs.metrics)
        faces = read_table(inputs.evaluated / "faces.parquet")
        data = ReportData(
            facts=RunFacts(
                title=settings.name,
                model=called(models["base"]),
                date=datetime.now(UTC).date().isoformat(),
                seed=settings.seed,
                steps=evaluation["steps"],
                guidance=evaluation["guidance"],
                sampler=evaluation.get("scheduler"),
                revision=revision(),
                more=target_facts(targets, prompts, space)
                | {"Face detector": called(models["detector"])},
            ),
            space=space,
            aligned=align,
            evaluation=evaluation,
            prompts=prompts,
            images=pd.concat(tables, ignore_index=True),
            faces=faces,
            folders=folders,
            split=split,
            calibration=read_json(inputs.classifiers / "calibration.json"),
            training=read_table(inputs.finetuned / "log.parquet"),
            findings=split_findings(evaluation),
            gate=None
            if policy is None
            else judge(
                read_policy(policy),
                evaluation,
                faces[faces["split"] == split],
                space,
                today=datetime.now(UTC).date(),
                bootstrap=Bootstrap(settings.seed, draws),
            ),
            notes=(WORLD_NOTE,) if world == "portraits" else (),
            commands=("make demo",),
            hashes=hashes_of(inputs, use.file),
            images_per_prompt=images_per_prompt,
        )
        card = CardFacts(
            base_model=called(models["base"]),
            license="apache-2.0",
            summary=f"{use.what} that move the shares of perceived attributes to a target.",
            usage=use.code,
            tags=(use.tag,),
        )
        with atomic_folder(out) as folder:
            (folder / "report.html").write_text(build_page(data), encoding="utf-8")
            (folder / "model-card.md").write_text(build_card(data, card), encoding="utf-8")
            if figures:
                write_figures(data, folder / "figures", figures)
            write_manifest(folder, "report")
        step.log.info("wrote %s", out / "report.html")
        step.tracker.artifact(out / "report.html")
        step.tracker.artifact(out / "model-card.md")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    defaults = {
        "prompts": "artifacts/prompts",
        "classifiers": "artifacts/classifiers",
        "finetuned": "artifacts/finetune",
        "bundle": "artifacts/bundle",
        "base": "artifacts/images/base",
        "aligned": "artifacts/images/aligned",
        "evaluated": "artifacts/evaluation",
        "metrics": "metrics/evaluation.json",
    }
    for name, default in defaults.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(default), help="read")
    parser.add_argument(
        "--figures",
        action="append",
        default=[],
        metavar="FORMAT",
        help="write the figures as files too: svg, pdf or png; may be repeated",
    )
    parser.add_argument("--policy", type=Path, help="the gate's policy: print what it says")
    parser.add_argument("--out", type=Path, default=Path("artifacts/report"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            world=params.generate_prompts.world,
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            align=params.finetune.align,
            split=params.evaluate_bias.split,
            policy=args.policy,
            draws=params.gate.draws,
            inputs=Inputs(**{name: getattr(args, name) for name in defaults}),
            settings=settings,
            out=args.out,
            figures=args.figures,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
