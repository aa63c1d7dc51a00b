"""Sample the evaluation's images from the base model changed by each method that is listed.

Ethical intervention changes the prompt, debiasVL the text states, UCE the weights of
cross-attention; none of them trains. Their noise is that of base and aligned. With no method
listed the folder holds its manifest only. What a killed run has finished waits in ``OUT.partial``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import (
    CLASSIFIER_WEIGHTS,
    Settings,
    arguments,
    execute,
    face_detector,
    open_step,
    sampling_of,
)

if TYPE_CHECKING:
    import torch

    from components.generate_baselines.prepare import Judges
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params

STEP = "generate_baselines"
# What says that a method's search began from the same point; the methods do not know each other.
OWN = {
    "intervention": ("wording",),
    "debiasvl": ("attribute_prompt", "words", "concepts", "strength", "orthogonal"),
    "uce": (
        "attribute_prompt",
        "words",
        "concepts",
        "preserve",
        "regularisation",
        "iterations",
        "images",
        "step",
        "tolerance",
    ),
}


def run(
    *,
    baselines: Mapping[str, Any],
    generate_images: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    align: Sequence[str],
    split: str,
    also: Sequence[str],
    prompts: Path,
    classifiers: Path,
    settings: Settings,
    out: Path,
) -> None:
    """Write a folder for each method: its images, weights if it has any, and what it cost.

    Args:
        baselines: Section ``baselines``.
        generate_images: Section ``generate_images``: the sampler of all models compared.
        models: Section ``models``.
        attributes: Section ``attributes``.
        targets: Section ``targets``.
        align: Attributes that training aligns: those that the methods are to balance.
        split: Held-out split; attribute-naming prompts and scenes are added to it.
        also: Further splits.
        prompts: Folder of ``generate_prompts``.
        classifiers: Folder of ``calibrate_classifier``; uce measures with its ``train``.
        settings: Section ``run``.
        out: Folder to write.

    Raises:
        ArtifactError: Prompts or classifier are missing or damaged.
        ConfigError: A joint target for uce.
        ModelError: The base model is missing or damaged, or a method has no way to its kind.
        PromptError: No prompt to sample, one too long for the model, or an unusable wording.
    """
    from components.generate_baselines.prepare import applied, check_model, prepare
    from fairness_core.attributes import AttributeSpace
    from fairness_core.baselines import UCE_NOISE
    from fairness_core.config import Baselines
    from fairness_core.diffusion import DiffusionStack
    from fairness_core.evaluation import IMAGE_NOISE, generate_folder, plan_images
    from fairness_core.export import weights_sha256
    from fairness_core.portraits.models import resolve
    from fairness_core.prompts import ALWAYS
    from fairness_core.runtime import (
        as_dtype,
        check_output,
        check_work,
        read_table,
        sha256_file,
        verify,
        write_manifest,
    )

    work = out.with_name(out.name + ".partial")
    check_output(out, "baselines", [prompts, classifiers])
    check_work(work, OWN)
    section = Baselines(**baselines)
    with open_step(STEP, settings, {"methods": list(section.methods)}) as step:
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        narrow = _balanced(space, align, section.methods)
        verify(prompts, kind="prompts")
        verify(classifiers, kind="classifiers")
        catalog = read_table(prompts / "prompts.parquet")
        plan = read_table(prompts / "plan.parquet")
        wanted = catalog.loc[catalog["split"].isin([split, *also, *ALWAYS]), "prompt_id"]
        dtype = as_dtype(generate_images["precision"])
        sampling, search = (
            sampling_of(generate_images, stage, settings) for stage in (IMAGE_NOISE, UCE_NOISE)
        )
        folder = resolve(models["base"])
        shared = {
            "sampler": models["sampler"],
            "base_sha256": weights_sha256(folder),
            "classifier_sha256": sha256_file(classifiers / "train" / CLASSIFIER_WEIGHTS),
            "prompts_sha256": sha256_file(prompts / "prompts.parquet"),
            "attributes": {name: attributes[name] for name in align},
        }
        # Only now: a step that fails before it has sampled leaves no folder behind.
        work.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {}
        for method in section.methods:
            own = {name: baselines[name] for name in OWN[method]}
            recipe = {"model": method, **shared, "settings": own}
            stack = DiffusionStack.load(
                folder, device=step.device, dtype=dtype, sampler=models["sampler"]
            )
            check_model(section.methods, stack)
            judges = _judges(models, classifiers, space, step.device)
            facts = prepare(
                method, stack, catalog, narrow, section, judges, search, work / method,
                {**recipe, "seed": settings.seed, "sampling": dict(generate_images)},
            )  # fmt: skip
            rows = plan_images(
                catalog, plan[plan["prompt_id"].isin(wanted)], sampling, model=method
            )
            with applied(method, stack, rows, catalog, narrow, section, work / method) as shown:
                seconds = generate_folder(
                    stack, shown, work / method / "images", sampling, recipe=recipe,
                    label=f"{method} images", reuse=True,
                )  # fmt: skip
            found[method] = {k: v for k, v in facts.items() if k != "recipe"}
            step.log.info(
                "%s: prepared in %.1f s with %d network calls, %d images sampled in %.1f s",
                method, facts["seconds"], facts["network_forwards"], len(rows), seconds,
            )  # fmt: skip
            cost = ("seconds", "network_forwards", "network_backwards")
            step.tracker.metrics({f"{method}/{key}": float(facts[key]) for key in cost})
        _drop_strays(work, section.methods)
        write_manifest(work, "baselines", methods=found)
        if out.exists():
            shutil.rmtree(out)
        os.replace(work, out)


def _balanced(
    space: AttributeSpace, align: Sequence[str], methods: Sequence[str]
) -> AttributeSpace:
    """The attributes that the methods are to balance."""
    from fairness_core.errors import ConfigError

    narrow = space.subset(align)
    if "uce" in methods and narrow.joint is not None:
        raise ConfigError(
            "uce balances each attribute on its own and has no way to a joint target",
            given=f"targets.joint of {', '.join(narrow.joint.names)}",
            do="leave uce out of baselines.methods, or set targets.joint to null",
        )
    return narrow


def _drop_strays(work: Path, methods: Sequence[str]) -> None:
    """Remove what an earlier start made of methods that are no longer listed."""
    for stray in work.iterdir():
        if stray.is_dir() and stray.name not in methods:
            shutil.rmtree(stray)


def _judges(
    models: Mapping[str, Any], classifiers: Path, space: AttributeSpace, device: torch.device
) -> Judges:
    from components.generate_baselines.prepare import Judges
    from fairness_core.classifiers import AttributeClassifier

    return Judges(
        detector=face_detector(models, device),
        classifier=AttributeClassifier.load(classifiers / "train", space).to(device),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    for name in ("prompts", "classifiers"):
        parser.add_argument(f"--{name}", type=Path, default=Path(f"artifacts/{name}"), help="read")
    parser.add_argument("--out", type=Path, default=Path("artifacts/baselines"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            baselines=params.section("baselines"),
            generate_images=params.section("generate_images"),
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            align=params.finetune.align,
            split=params.evaluate_bias.split,
            also=params.evaluate_bias.also,
            prompts=args.prompts,
            classifiers=args.classifiers,
            settings=settings,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
