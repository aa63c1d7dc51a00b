"""What every step's command line shares: parameters, one clear error, device, logs, tracking."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.parameters import read_parameters, tags_of
from components.places import check_places, sections_of
from fairness_core.errors import EvenhandError, told

if TYPE_CHECKING:
    from logging import Logger

    import torch

    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params
    from fairness_core.evaluation import Instruments, Sampling
    from fairness_core.faces import FaceDetector
    from fairness_core.runtime.tracking import Tracker

__all__ = [
    "CLASSIFIER_WEIGHTS",
    "Settings",
    "Step",
    "arguments",
    "audit_instruments",
    "execute",
    "face_detector",
    "open_step",
    "prepare_libraries",
    "sampling_of",
]

CLASSIFIER_WEIGHTS = "model.safetensors"  # in a classifier's folder
QUIET = {
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass(frozen=True)
class Settings:
    """Section ``run`` of params.yaml.

    Attributes:
        name: Names the MLflow experiment.
        seed: Enters every seed.
        device: auto, cpu or cuda.
        threads: CPU threads.
        tracking: Whether to log to MLflow.
        tags: Of the step's MLflow run: what runs are compared by.
    """

    name: str
    seed: int
    device: str
    threads: int
    tracking: bool
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """What a running step works with."""

    device: torch.device
    tracker: Tracker
    log: Logger


@contextmanager
def open_step(name: str, settings: Settings, parameters: Mapping[str, Any]) -> Iterator[Step]:
    """Set up logs, device, threads and tracking for a step, and say when it begins and ends.

    With several processes only the first one tracks.

    Args:
        name: The step.
        settings: Shared by all steps.
        parameters: The step's own values, for the tracking server.
    """
    from fairness_core.runtime import configure, get_logger, prepare
    from fairness_core.runtime.tracking import open_run

    configure(name)
    device = prepare(settings.device, settings.threads)
    log = get_logger(name.replace(" ", "."))
    log.info("started on %s, CPU threads: %d", device, settings.threads)
    began = time.monotonic()
    with open_run(
        name,
        {"seed": settings.seed, **parameters},
        enabled=settings.tracking and os.environ.get("RANK", "0") == "0",
        experiment=settings.name,
        tags=settings.tags,
    ) as tracker:
        yield Step(device, tracker, log)
    log.info("done in %.1f s", time.monotonic() - began)


def face_detector(models: Mapping[str, Any], device: torch.device) -> FaceDetector:
    """The detector that section ``models`` names, with the second one after it if there is one.

    Args:
        models: Section ``models``.
        device: The run's; the detector's too with ``detector_device: auto``, if onnxruntime can.
    """
    from fairness_core.faces.backends.load import load_detector
    from fairness_core.portraits.models import resolve

    asked, second = models["detector_device"], models["second_detector"]
    return load_detector(
        resolve(models["detector"]),
        det_size=models["detector_size"],
        second=None if second is None else resolve(second),
        second_size=models["second_detector_size"],
        device=str(device) if asked in ("auto", device.type) else asked,
        strict=asked != "auto",
    )


def audit_instruments(
    models: Mapping[str, Any], classifiers: Path, space: AttributeSpace, device: torch.device
) -> Instruments:
    """What every evaluation looks through: none of these networks has been trained against.

    Args:
        models: Section ``models``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` is used.
        space: The attributes measured.
        device: Where the networks run; the two large ones wait on the CPU until they look.
    """
    from fairness_core.classifiers import AttributeClassifier
    from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
    from fairness_core.evaluation import Instruments
    from fairness_core.portraits.models import resolve

    return Instruments(
        detector=face_detector(models, device),
        classifier=AttributeClassifier.load(classifiers / "audit", space).to(device),
        image_text=ImageTextEncoder.load(resolve(models["audit_image_text"])),
        image_self=ImageSelfEncoder.load(resolve(models["audit_image_self"])),
        device=device,
    )


def sampling_of(section: Mapping[str, Any], stage: str, settings: Settings) -> Sampling:
    """How section ``generate_images`` samples; its precision is the model's, not the sampler's.

    Args:
        section: Section ``generate_images``.
        stage: Enters the images' seeds, see ``Sampling``.
        settings: Section ``run``, whose seed does too.
    """
    from fairness_core.evaluation import Sampling

    told = {name: value for name, value in section.items() if name != "precision"}
    return Sampling(stage, settings.seed, **told)


def arguments(step: str, about: str | None) -> argparse.ArgumentParser:
    """A step's command line: ``--params`` and ``--set``; add the step's own paths to it."""
    parser = argparse.ArgumentParser(
        prog=f"evenhand step {step}",
        description=about,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(step=step)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="parameter file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="override one value; may be repeated",
    )
    parser.add_argument(
        "--part",
        action="store_true",
        help="the parameter file is JSON and holds only what this step reads",
    )
    return parser


def prepare_libraries(params: Params, model: str | None = None) -> None:
    """Make libraries quiet, and offline unless a parameter, or the model, is one of the hub.

    They read this once, when they are first imported, which is why steps import them inside.
    """
    from fairness_core.config.places import model_names

    named = (name for _, name in model_names(sections_of(params)))
    fetching = any("@" in name for name in (model or "", *named))
    for key in QUIET.keys() - ({"HF_HUB_OFFLINE"} if fetching else set()):
        os.environ.setdefault(key, QUIET[key])


def execute(
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    work: Callable[[argparse.Namespace, Params, Settings], None],
) -> int:
    """Parse, load the parameters, work; an error that was raised on purpose becomes one message.

    Args:
        parser: From `arguments`.
        argv: The command line without the program; None: the process's own.
        work: Calls the step's ``run`` with the parsed options and the checked parameters.

    Returns:
        Exit status: 0, or the `EvenhandError`'s, whose text is all that is printed of it; what a
        file system says of a path is one too.
    """
    args = parser.parse_args(argv)
    try:
        params = read_parameters(args)
        prepare_libraries(params, getattr(args, "model", None))
        check_places(params, args.step)
        work(args, params, Settings(**params.section("run"), tags=tags_of(params)))
    except (EvenhandError, OSError) as error:
        known = told(error)
        sys.stderr.write(f"error: {known}\n")
        return known.status
    return 0
