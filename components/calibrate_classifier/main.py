"""Fit and calibrate two classifiers: one for the training loss, another one that audits.

They share neither architecture nor images, so that the audit does not repeat the mistakes that
training exploits. They are fitted on drawn portraits, FairFace or CelebA, or ready ones are joined.
Both get one temperature per attribute; accuracy by group and calibration are measured on faces that
neither of them was fitted on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, Step, arguments, execute, open_step

if TYPE_CHECKING:
    from components.calibrate_classifier.data import Faces
    from fairness_core.attributes import AttributeSpace
    from fairness_core.classifiers import AttributeClassifier, Epoch
    from fairness_core.config import Params

STEP = "calibrate_classifier"


def run(
    *,
    source: str | Mapping[str, str],
    images: int,
    size: int,
    merges: Mapping[str, Any],
    old_from: int,
    fairface_padding: float,
    epochs: int,
    audit_epochs: int,
    batch_size: int,
    learning_rate: float,
    train_network: str | Mapping[str, str],
    audit_network: str | Mapping[str, str],
    train_weights: str | None,
    audit_weights: str | None,
    attributes: Mapping[str, Any],
    settings: Settings,
    out: Path,
    metrics: Path,
) -> None:
    """Write ``train/``, ``audit/``, ``calibration.json``, ``reliability.csv`` and a diagram.

    Args:
        source: ``portraits``, ``fairface:FOLDER``, ``celeba:FOLDER``, or attribute to one of the
            last two.
        images: Labelled portraits drawn, or pictures used at most, in all.
        size: Side of the crops that a network is fitted on, px.
        merges: Attribute to class to the labels of the source and of ready classifiers that make
            it up, in place of the published merges.
        old_from: FairFace: first year from which a face is old.
        fairface_padding: FairFace: margin of its pictures.
        epochs: Passes of the training classifier.
        audit_epochs: Passes of the audit classifier.
        batch_size: Images per step.
        learning_rate: Highest learning rate.
        train_network: Architecture of the training classifier; or attribute to the folder of a
            ready transformers image classifier, and nothing is fitted.
        audit_network: Another one, of the audit classifier.
        train_weights: Safetensors file that the training classifier's fit starts from.
        audit_weights: The same for the audit classifier.
        attributes: Section ``attributes``.
        settings: Section ``run``.
        out: Folder to write.
        metrics: JSON file for the figures without groups and bins.

    Raises:
        ConfigError: An attribute that the source does not label so, or one architecture for both.
        DataError: The source is incomplete or has unknown labels, or a picture is damaged.
        ModelError: A ready classifier or the weights to start from cannot be used.
    """
    from components.calibrate_classifier.card import classifier_card
    from components.calibrate_classifier.data import open_source
    from components.calibrate_classifier.diagram import reliability_diagram, reliability_table
    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import calibrate, classifier_report
    from fairness_core.runtime import atomic_folder, check_output, write_json, write_manifest

    check_output(out, "classifiers", [metrics])
    if train_network == audit_network:
        raise ConfigError(
            "The audit classifier needs another network than the training classifier",
            given=audit_network,
            do="set calibrate_classifier.audit_network to the other one",
        )
    kinds = {"train": (train_network, epochs), "audit": (audit_network, audit_epochs)}
    starts = {"train": train_weights, "audit": audit_weights}
    parameters = {"images": images, "batch_size": batch_size, "learning_rate": learning_rate}
    with open_step(STEP, settings, {"source": source, **parameters, **kinds}) as step:
        space = AttributeSpace.from_mapping(attributes)
        data = open_source(
            source,
            space,
            images=images,
            merges=merges,
            old_from=old_from,
            padding=fairface_padding,
            seed=settings.seed,
            threads=settings.threads,
        )
        report: dict[str, Any] = {}
        with atomic_folder(out) as folder:
            for role, (kind, passes) in kinds.items():
                if isinstance(kind, str):
                    model = _untrained(kind, starts[role], space, size, role, settings.seed)
                    fitting = {"epochs": passes, "batch_size": batch_size, "lr": learning_rate}
                    model.to(step.device)
                    _fit(model, data.faces(role, size), role, fitting, settings.seed, step)
                else:
                    model = _ready(kind, space, merges, old_from).to(step.device)
                held_out = data.faces("calibration", model.input_size)
                calibrate(model, held_out.crops, held_out.labels, held_out.known)
                test = data.faces("test", model.input_size)
                report[role] = classifier_report(model, test.crops, test.labels, test.known)
                model.cpu().save(folder / role)
                card = classifier_card(
                    role, kind, model.input_size, report[role], data.about, data.counts
                )
                (folder / role / "README.md").write_text(card, encoding="utf-8")
            write_json(report, folder / "calibration.json")
            reliability_table(report).to_csv(folder / "reliability.csv", index=False)
            reliability_diagram(report, folder / "reliability.png")
            write_manifest(folder, "classifiers", images=data.counts)
        _say(report, metrics, step)
        step.tracker.picture("reliability", out / "reliability.png")
        step.tracker.artifact(out / "calibration.json")


def _untrained(
    kind: str, start: str | None, space: AttributeSpace, size: int, role: str, seed: int
) -> AttributeClassifier:
    from fairness_core.classifiers import build, load_weights
    from fairness_core.runtime import generator

    model = build(kind, space, size, generator(STEP, seed, role))
    if start is not None:
        load_weights(model.network, start)
    return model


def _ready(
    places: Mapping[str, str], space: AttributeSpace, merges: Mapping[str, Any], old_from: int
) -> AttributeClassifier:
    """Ready classifiers of single attributes as one; many have FairFace's labels."""
    from fairness_core.classifiers import join_classifiers
    from fairness_core.datasets import fairface_merges
    from fairness_core.portraits.models import resolve

    return join_classifiers(
        {name: resolve(place) for name, place in places.items()},
        space,
        merges=merges,
        published=fairface_merges(old_from),
    )


def _fit(
    model: AttributeClassifier,
    faces: Faces,
    role: str,
    fitting: Mapping[str, Any],
    seed: int,
    step: Step,
) -> None:
    from fairness_core.classifiers import fit
    from fairness_core.runtime import generator

    def note(epoch: Epoch) -> None:
        step.log.info(
            "%s classifier, epoch %d of %d: loss %.3f, accuracy while training %s",
            role,
            epoch.number,
            epoch.of,
            epoch.loss,
            {name: round(value, 3) for name, value in epoch.accuracy.items()},
        )
        step.tracker.metrics({f"{role}_loss": epoch.loss}, step=epoch.number)

    random = generator(STEP, seed, role, "fit")
    fit(
        model,
        faces.crops,
        faces.labels,
        known=faces.known,
        generator=random,
        on_epoch=note,
        **fitting,
    )


def _say(report: Mapping[str, Any], metrics: Path, step: Step) -> None:
    """Write the figures worth a metric: without groups and bins, but with the worst group."""
    from fairness_core.runtime import write_json

    short: dict[str, dict[str, Any]] = {role: {} for role in report}
    for role, entries in report.items():
        for name, entry in entries.items():
            groups = entry["groups"]
            lowest = min(groups, key=lambda group: groups[group]["accuracy"])
            figures = {k: v for k, v in entry.items() if k not in ("groups", "reliability")}
            figures |= {"lowest_accuracy": groups[lowest]["accuracy"], "lowest_group": lowest}
            short[role][name] = figures
            step.log.info(
                "%s classifier, %s: accuracy %.3f (lowest %.3f: %s), ECE %.3f before, %.3f after",
                role,
                name,
                figures["accuracy"],
                figures["lowest_accuracy"],
                lowest,
                figures["ece_before"],
                figures["ece_after"],
            )
            numbers = {k: v for k, v in figures.items() if isinstance(v, float)}
            step.tracker.metrics({f"{role}_{name}_{k}": v for k, v in numbers.items()})
    write_json(short, metrics)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/classifiers"), help="written")
    parser.add_argument(
        "--metrics", type=Path, default=Path("metrics/calibration.json"), help="written"
    )

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section(STEP),
            attributes=params.section("attributes"),
            settings=settings,
            out=args.out,
            metrics=args.metrics,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
