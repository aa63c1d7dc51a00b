"""Audit a model or a folder of images: bias with intervals, no training and no second model needed.

Detect the largest face of each image, classify it with one or two audit classifiers, and print
bias per attribute and joint, the no-face and undecided rates, what the two disagree about and,
given labels, everything corrected for the classifier's errors, as figures, tables and one page
(audit.html) that loads nothing. A killed audit goes on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.audit.page import audit_page
from components.audit.subject import Subject, check_classifiers, measure, sample_model, sampled
from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params

STEP = "audit"
DAMAGED = ("error", "count")


def run(
    *,
    subject: Subject,
    images_per_prompt: int,
    batch_size: int,
    bootstrap: int,
    undecided_below: float,
    false_claims: float,
    labels_per_class: int,
    pictures: int,
    damaged: str,
    sampling: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    settings: Settings,
    out: Path,
) -> None:
    """Write ``audit.json``, ``audit.html``, two tables, and the sampled images.

    Args:
        subject: What is audited, and with what.
        images_per_prompt: Images sampled of each prompt, where a model is audited.
        batch_size: Images measured at once.
        bootstrap: Resamples of the intervals.
        undecided_below: See ``AuditRules``.
        false_claims: See ``AuditRules``.
        labels_per_class: See ``AuditRules``.
        pictures: Pictures of each prompt on the page; 0: none.
        damaged: ``error`` or ``count``, see ``measure_folder``.
        sampling: Section ``generate_images``.
        models: Section ``models``; its sampler solves the audited model too.
        attributes: Section ``attributes``.
        targets: Section ``targets``: its joint table and the targets of single prompts.
        settings: Section ``run``.
        out: Folder to write.

    Raises:
        ArtifactError: Images or labels are missing, damaged or of other prompts.
        ConfigError: Not exactly one of model and images, or a bundle with images.
        FaceError: No image shows a face.
        ModelError: A classifier is the one that was trained against, or both are the same.
        PromptError: The prompt list is empty, or names a prompt twice.
    """
    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import (
        AuditRules,
        Bootstrap,
        audit_figures,
        audit_prompts,
        check_images,
    )
    from fairness_core.evaluation import read_labels as read_sheet
    from fairness_core.prompts import own_targets, read_list, read_overrides
    from fairness_core.runtime import (
        atomic_folder,
        check_output,
        check_work,
        write_json,
        write_manifest,
        write_table,
    )

    if (subject.model is None) == (subject.images is None):
        raise ConfigError("An audit needs a model or images, and not both", do="give one of them")
    if subject.images is not None and subject.bundle is not None:
        raise ConfigError(
            "A bundle is laid over a model, and images are audited as they are",
            given=subject.bundle,
            do="leave out --bundle, or give --model instead of --images",
        )
    work = out.with_name(out.name + ".partial")
    check_output(out, STEP, subject.reads)
    check_work(work)
    if subject.model is not None:
        check_images(sampled(out), subject.reads)
    with open_step(STEP, settings, {"prompts": subject.prompts, "bootstrap": bootstrap}) as step:
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        own = targets["overrides"]
        own = read_overrides(own) if isinstance(own, str) else own
        prompts, unmet = own_targets(read_list(subject.prompts), space, own)
        if unmet:
            step.log.info("targets of single prompts that are not audited: %s", ", ".join(unmet))
        labels = None if subject.labels is None else read_sheet(subject.labels, space)
        hashes = check_classifiers(subject)
        source = subject.images
        if source is None:
            source = sample_model(
                subject, prompts, images_per_prompt, sampling, models["sampler"], settings, step,
                out,
            )  # fmt: skip
        step.tracker.inputs({"prompts": subject.prompts, "images": source}, "audit")
        faces = measure(
            source, prompts, subject, space, models, hashes, batch_size, damaged, work, step
        )
        rules = AuditRules(undecided_below, false_claims, labels_per_class)
        intervals = Bootstrap(settings.seed, bootstrap)
        figures = audit_figures(faces, space, rules, intervals, labels=labels, prompts=prompts)
        figures["prompts_without_images"] = sorted(
            set(prompts["prompt_id"]) - set(faces["prompt_id"])
        )
        figures["classifier_sha256"] = hashes
        figures["trained_against_allowed"] = subject.trusting
        with atomic_folder(out) as folder:
            write_table(faces, folder / "faces.parquet")
            table = audit_prompts(faces, space, rules, intervals, prompts=prompts)
            write_table(table, folder / "prompts.parquet")
            write_json(figures, folder / "audit.json")
            page = audit_page(
                subject, source, prompts, faces, table, figures, space, rules, pictures, settings
            )
            (folder / "audit.html").write_text(page, encoding="utf-8")
            write_manifest(folder, STEP, classifier_sha256=hashes)
        shutil.rmtree(work, ignore_errors=True)
        for line in _lines(figures, space):
            step.log.info("%s", line)
        step.log.info("wrote %s", out / "audit.html")
        step.tracker.metrics(_headline(figures))
        step.tracker.artifact(out / "audit.json")
        step.tracker.artifact(out / "audit.html")


def _lines(figures: Mapping[str, Any], space: AttributeSpace) -> list[str]:
    """One line for each group and rate."""
    from fairness_core.groups import group_name, measured_groups

    lines = []
    for name in map(group_name, measured_groups(space.names)):
        entry = figures[name]
        low, high = entry["ci95"]
        line = (
            f"{name}: bias {entry['bias']:.3f} [{low:.3f}, {high:.3f}], fair-sampler floor "
            f"{entry['fair_floor']:.3f}; {entry['claims']} of {figures['n_prompts']} prompts "
            f"differ from the target; worst {entry['worst_prompt']['prompt_id']}"
        )
        corrected = entry.get("corrected")
        if corrected and "bias" in corrected:
            low, high = corrected["ci95"]
            line += f"; corrected {corrected['bias']:.3f} [{low:.3f}, {high:.3f}]"
        elif corrected:
            line += f"; not corrected: {corrected['reason']}"
        lines.append(line)
    if figures["unreadable"]:
        lines.append(f"unreadable: {figures['unreadable']} images, in no other figure")
    lines.append(f"no face: {100 * figures['no_face_rate']['rate']:.1f} % of the images")
    for kind in ("undecided", "disagreement"):
        for name, entry in figures.get(kind, {}).items():
            lines.append(f"{kind}, {name}: {100 * entry['rate']:.1f} % of the faces")
    return lines


def _headline(figures: Mapping[str, Any]) -> dict[str, float]:
    flat = {"no_face_rate": figures["no_face_rate"]["rate"]}
    for name, entry in figures.items():
        if isinstance(entry, Mapping) and "fair_floor" in entry:
            flat[f"bias_{name}"] = entry["bias"]
            flat[f"fair_floor_{name}"] = entry["fair_floor"]
    return flat


def main(argv: Sequence[str] | None = None) -> int:
    """Run the audit from the command line."""
    parser = arguments(STEP, __doc__)
    parser.prog = "evenhand audit"
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", help="folder of a diffusers model, or ORG/NAME@COMMIT")
    what.add_argument("--images", type=Path, help="folder or table of images to audit")
    parser.add_argument("--bundle", type=Path, help="weights laid over --model")
    parser.add_argument("--prompts", type=Path, required=True, help=".txt, .csv or .parquet")
    parser.add_argument(
        "--classifier", type=Path, default=Path("artifacts/classifiers/audit"), help="measures"
    )
    parser.add_argument("--second", type=Path, help="a second classifier, for their disagreement")
    parser.add_argument("--labels", type=Path, help="CSV of evenhand label: correct the errors")
    parser.add_argument("--damaged", choices=DAMAGED, default="error", help="unreadable images")
    parser.add_argument(
        "--allow-training-classifier",
        action="store_true",
        help="audit even with the classifier that was trained against; the result says so",
    )
    parser.add_argument("--out", type=Path, default=Path("artifacts/audit"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            subject=Subject(
                model=args.model,
                bundle=args.bundle,
                images=args.images,
                prompts=args.prompts,
                classifiers=tuple(f for f in (args.classifier, args.second) if f is not None),
                labels=args.labels,
                trusting=args.allow_training_classifier,
            ),
            damaged=args.damaged,
            sampling=params.section("generate_images"),
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            settings=settings,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
