"""Fit and calibrate two classifiers: one for the training loss, another one that audits.

They share neither architecture nor images, so that the audit does not repeat the mistakes that
training exploits. Both get one temperature per attribute; accuracy by group and calibration are
measured on faces that neither of them has seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, Step, arguments, execute, open_step

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Float, Int
    from torch import Tensor

    from fairness_core.attributes import AttributeSpace
    from fairness_core.classifiers import AttributeClassifier, Epoch
    from fairness_core.config import Params

STEP = "calibrate_classifier"
# Of the portraits drawn: each classifier's fit, the temperatures, and the test.
SHARES = {"train": 0.35, "audit": 0.35, "calibration": 0.1, "test": 0.2}


@dataclass(frozen=True)
class Faces:
    """Labelled face crops in [-1, 1]."""

    crops: Float[Tensor, "n 3 s s"]
    labels: Int[Tensor, "n a"]


def run(
    *,
    images: int,
    epochs: int,
    audit_epochs: int,
    batch_size: int,
    learning_rate: float,
    train_network: str,
    audit_network: str,
    attributes: Mapping[str, Any],
    settings: Settings,
    out: Path,
    metrics: Path,
) -> None:
    """Write ``train/``, ``audit/``, ``calibration.json``, ``reliability.csv`` and a diagram.

    Args:
        images: Labelled portraits drawn in all.
        epochs: Passes of the training classifier.
        audit_epochs: Passes of the audit classifier.
        batch_size: Images per step.
        learning_rate: Highest learning rate.
        train_network: Architecture of the training classifier.
        audit_network: Another one, of the audit classifier.
        attributes: Section ``attributes``.
        settings: Section ``run``.
        out: Folder to write.
        metrics: JSON file for the figures without groups and bins.

    Raises:
        ConfigError: An attribute that the portraits are not labelled with, or one architecture
            for both.
    """
    from components.calibrate_classifier.diagram import reliability_diagram
    from fairness_core.attributes import AttributeSpace
    from fairness_core.classifiers import build
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import calibrate, classifier_report
    from fairness_core.runtime import atomic_folder, generator, write_json, write_manifest

    if train_network == audit_network:
        raise ConfigError(
            "The audit classifier needs another network than the training classifier",
            given=audit_network,
            do="set calibrate_classifier.audit_network to the other one",
        )
    kinds = {"train": (train_network, epochs), "audit": (audit_network, audit_epochs)}
    parameters = {"images": images, "batch_size": batch_size, "learning_rate": learning_rate}
    with open_step(STEP, settings, {**parameters, **kinds}) as step:
        space = AttributeSpace.from_mapping(attributes)
        sets = {
            part: _draw(part, max(2, round(share * images)), space, settings.seed)
            for part, share in SHARES.items()
        }
        report: dict[str, Any] = {}
        with atomic_folder(out) as folder:
            for role, (kind, passes) in kinds.items():
                size = sets[role].crops.shape[-1]
                network = build(kind, space, size, generator(STEP, settings.seed, role))
                model = network.to(step.device)
                fitting = {"epochs": passes, "batch_size": batch_size, "lr": learning_rate}
                _fit(model, sets[role], role, fitting, settings.seed, step)
                calibrate(model, sets["calibration"].crops, sets["calibration"].labels)
                report[role] = classifier_report(model, sets["test"].crops, sets["test"].labels)
                model.cpu().save(folder / role)
            write_json(report, folder / "calibration.json")
            _bins(report).to_csv(folder / "reliability.csv", index=False)
            reliability_diagram(report, folder / "reliability.png")
            used = {part: len(faces.labels) for part, faces in sets.items()}
            write_manifest(folder, "classifiers", images=used)
        _say(report, metrics, step)
        step.tracker.picture("reliability", out / "reliability.png")
        step.tracker.artifact(out / "calibration.json")


def _draw(part: str, n: int, space: AttributeSpace, seed: int) -> Faces:
    """Labelled faces of one part; its name is in every seed, so that no two parts share a face."""
    import torch

    from fairness_core.evaluation import jittered_crops, label_columns
    from fairness_core.portraits.dataset import labelled_portraits
    from fairness_core.portraits.world import ATTRIBUTES
    from fairness_core.runtime import generator

    names = (STEP, seed, part)
    images, classes, boxes, _ = labelled_portraits(n, *names)
    crops = jittered_crops(
        images, boxes, size=images.shape[1], generator=generator("crops", *names)
    )
    return Faces(crops, torch.from_numpy(label_columns(classes, ATTRIBUTES, space)).long())


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
    fit(model, faces.crops, faces.labels, generator=random, on_epoch=note, **fitting)


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


def _bins(report: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {"classifier": role, "attribute": name, **one}
        for role, entries in report.items()
        for name, entry in entries.items()
        for one in entry["reliability"]
    ]
    return pd.DataFrame(rows)


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
