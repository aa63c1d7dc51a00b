"""What is audited: images that are there, or a model to sample, and the networks that measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import CLASSIFIER_WEIGHTS, Settings, Step, face_detector, sampling_of

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.attributes import AttributeSpace

__all__ = ["Subject", "check_classifiers", "measure", "sample_model", "sampled"]

STAGE = "audit"


@dataclass(frozen=True)
class Subject:
    """What is audited, and with what.

    Attributes:
        model: Diffusers folder to sample, ``portraits:NAME`` or ``ORG/NAME@COMMIT`` of the hub;
            None: ``images`` are there.
        bundle: Weights laid over the model, or None.
        images: Folder or table of images; None: the model is sampled.
        prompts: Prompt list.
        classifiers: Folders of one or two audit classifiers.
        labels: Labelling sheet, or None.
        trusting: Audit even with the classifier that was trained against.
    """

    model: str | None
    bundle: Path | None
    images: Path | None
    prompts: Path
    classifiers: tuple[Path, ...]
    labels: Path | None
    trusting: bool

    @property
    def reads(self) -> list[Path | str | None]:
        """Files and folders that the audit reads, or None for what is not given."""
        return [
            self.model, self.bundle, self.images, self.prompts, *self.classifiers, self.labels,
        ]  # fmt: skip


def sample_model(
    subject: Subject,
    prompts: pd.DataFrame,
    images: int,
    sampling: Mapping[str, Any],
    sampler: str | None,
    settings: Settings,
    step: Step,
    out: Path,
) -> Path:
    """Images of the model, beside the audit's folder; a second audit takes those that are there."""
    import pandas as pd

    from fairness_core.diffusion import DiffusionStack
    from fairness_core.evaluation import generate_folder, plan_images
    from fairness_core.export import load_bundle, weights_sha256
    from fairness_core.portraits.models import resolve
    from fairness_core.runtime import as_dtype, sha256_file

    assert subject.model is not None
    told = sampling_of(sampling, STAGE, settings)
    counts = pd.DataFrame({"prompt_id": prompts["prompt_id"], "images": images})
    rows = plan_images(prompts.assign(split=STAGE), counts, told, model="audited")
    folder = resolve(subject.model)
    weights = weights_sha256(folder)
    dtype = as_dtype(sampling["precision"])
    stack = DiffusionStack.load(folder, device=step.device, dtype=dtype, sampler=sampler)
    recipe: dict[str, object] = {"model": "audited", "base_sha256": weights}
    if subject.bundle is not None:
        facts = load_bundle(stack, subject.bundle, base=weights)["extra"]
        recipe["bundle_sha256"] = sha256_file(subject.bundle / "manifest.json")
        recipe["classifier_sha256"] = facts.get("classifier_sha256")
    target = sampled(out)
    generate_folder(stack, rows, target, told, recipe=recipe, label="images sampled")
    return target


def sampled(out: Path) -> Path:
    """Where the images of a model are kept, beside the audit's folder."""
    return out.with_name(out.name + "-images")


def check_classifiers(subject: Subject) -> list[str]:
    """SHA-256 of the classifiers, after refusing one that was trained against.

    Images and bundle say which one that was; those sampled of a model say what its bundle does.
    """
    from fairness_core.errors import ModelError
    from fairness_core.evaluation import check_audit
    from fairness_core.runtime import read_json, sha256_file

    missing = [str(f) for f in subject.classifiers if not (f / CLASSIFIER_WEIGHTS).is_file()]
    if missing:
        raise ModelError(
            f"A classifier folder has no {CLASSIFIER_WEIGHTS}",
            given=", ".join(missing),
            do="give the folder of an audit classifier, such as artifacts/classifiers/audit",
        )
    hashes = [sha256_file(folder / CLASSIFIER_WEIGHTS) for folder in subject.classifiers]
    if len(set(hashes)) < len(hashes):
        raise ModelError(
            "The two audit classifiers are the same, so they cannot disagree",
            given=", ".join(map(str, subject.classifiers)),
            do="give --second another classifier",
        )
    made = [folder for folder in (subject.images, subject.bundle) if folder is not None]
    manifests = [folder / "manifest.json" for folder in made]
    trained: list[str | None] = []
    for extra in (read_json(path).get("extra", {}) for path in manifests if path.is_file()):
        trained += [
            extra.get("classifier_sha256"),
            extra.get("recipe", {}).get("classifier_sha256"),
        ]
    if not subject.trusting:
        for found in hashes:
            check_audit(found, trained_with=trained)
    return hashes


def measure(
    source: Path,
    prompts: pd.DataFrame,
    subject: Subject,
    space: AttributeSpace,
    models: Mapping[str, Any],
    hashes: Sequence[str],
    batch_size: int,
    damaged: str,
    work: Path,
    step: Step,
) -> pd.DataFrame:
    """The faces table of the source's images, in batches kept in ``work``."""
    import hashlib

    from fairness_core.classifiers import AttributeClassifier
    from fairness_core.evaluation import list_images, measure_folder
    from fairness_core.portraits.models import resolve
    from fairness_core.runtime import sha256_file

    folder, images = list_images(source, prompts)
    step.log.info("%d images of %d prompts", len(images), images["prompt_id"].nunique())
    names = [models[key] for key in ("detector", "second_detector") if models[key] is not None]
    packs = [file for name in names for file in sorted(resolve(name).glob("*.onnx"))]
    sizes = [models["detector_size"], models["second_detector_size"]]
    stamps = [
        (name, status.st_size, status.st_mtime_ns)
        for name in images["file"]
        if (folder / name).is_file() and (status := (folder / name).stat())
    ]
    return measure_folder(
        images,
        folder,
        work,
        detector=face_detector(models, step.device),
        classifiers=[
            AttributeClassifier.load(f, space).to(step.device) for f in subject.classifiers
        ],
        batch_size=batch_size,
        device=step.device,
        damaged="count" if damaged == "count" else "error",
        recipe={
            "images": hashlib.sha256(repr(stamps).encode()).hexdigest(),
            "classifiers": list(hashes),
            "detector": [sha256_file(file) for file in packs],
            "detector_size": sizes[: len(names)],
        },
    )
