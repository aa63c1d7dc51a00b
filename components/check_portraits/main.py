"""Compare what the base model draws with what was planted, at guidance 1 and at the default.

At guidance 1 a diffusion model samples the distribution that it learnt, so its class shares should
be the planted ones; larger guidance amplifies them. Prompts that name a class give labels, with
which the shares are corrected for the classifier's errors. Not part of a run: it checks the shipped
world, and that corrected figures agree with its truth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, audit_instruments, execute, open_step

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params
    from fairness_core.evaluation import Bootstrap

STAGE = "check_portraits"
RESAMPLES = 1000


def run(
    *,
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    classifiers: Path,
    images: int,
    labels: int,
    split: str,
    steps: int,
    guidances: Sequence[float],
    batch_size: int,
    settings: Settings,
    work: Path,
    out: Path,
) -> None:
    """Generate, measure and compare, one set of images per guidance.

    Args:
        models: Section ``models``.
        attributes: Section ``attributes``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` is used.
        images: Images per occupation.
        labels: Images of each prompt that names a class.
        split: A split with planted truth, or ``all`` for every occupation.
        steps: Sampling steps.
        guidances: Each is measured; 1 is the one that should agree with the truth.
        batch_size: Images per network call.
        settings: Section ``run``.
        work: Folder for the images; a second run goes on in it.
        out: JSON file for the figures.
    """
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.diffusion import DiffusionStack
    from fairness_core.evaluation import (
        Bootstrap,
        Sampling,
        assess,
        generate_folder,
        plan_images,
    )
    from fairness_core.portraits.models import resolve
    from fairness_core.portraits.world import catalog
    from fairness_core.runtime import read_table, write_json

    parameters = {"images": images, "split": split, "steps": steps}
    with open_step(STAGE, settings, parameters) as step:
        space = AttributeSpace.from_mapping(attributes)
        prompts = catalog()
        naming = prompts[prompts["family"] == "named"]
        prompts = prompts[prompts["family"] == "occupation"]
        if split != "all":
            prompts = prompts[prompts["split"] == split]
        both = pd.concat([prompts, naming], ignore_index=True)
        device = step.device
        instruments = audit_instruments(models, classifiers, space, device)
        stack = DiffusionStack.load(
            resolve(models["base"]), device=device, sampler=models["sampler"]
        )
        wanted = [images] * len(prompts) + [labels] * len(naming)
        counts = pd.DataFrame({"prompt_id": both["prompt_id"], "images": wanted})
        figures: dict[str, Any] = {"images_per_occupation": images, "occupations": len(prompts)}
        for guidance in guidances:
            sampling = Sampling(STAGE, settings.seed, guidance, steps, batch_size)
            rows = plan_images(both, counts, sampling, model="base")
            folder = work / f"guidance-{guidance:g}"
            recipe = {"base": models["base"]}
            generate_folder(stack, rows, folder, sampling, recipe=recipe, reuse=True)
            shown = read_table(folder / "images.parquet")
            seen = assess(shown, folder, both, instruments, space, batch_size=batch_size)
            found = _against_truth(
                seen.faces, prompts, naming, space, Bootstrap(settings.seed, RESAMPLES)
            )
            for line in _lines(guidance, found, space):
                step.log.info("%s", line)
            figures[f"guidance_{guidance:g}"] = found
        write_json(figures, out)
        step.log.info("wrote %s", out)
        step.tracker.artifact(out)


def _against_truth(
    every: pd.DataFrame,
    prompts: pd.DataFrame,
    naming: pd.DataFrame,
    space: AttributeSpace,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    from fairness_core.evaluation import (
        named_confusion,
        planted_agreement,
        planted_difference,
    )
    from fairness_core.metrics import count_faces, parity_gaps
    from fairness_core.prompts import planted_shares

    found: dict[str, Any] = {}
    faces = every[every["prompt_id"].isin(prompts["prompt_id"])]
    for name in space.names:
        counts = count_faces(faces, space, (name,))
        truth = planted_shares(prompts, space, name)
        shares = counts.counts / counts.counts.sum(axis=1, keepdims=True).clip(min=1)
        found[name] = {
            "against_planted": planted_difference(
                counts, truth, rng=bootstrap.rng(STAGE, name), resamples=bootstrap.resamples
            ),
            "measured_bias": float(parity_gaps(shares).mean()),
            "corrected": planted_agreement(
                counts,
                truth,
                named_confusion(every, naming, space, name),
                rng=bootstrap.rng(STAGE, name, "corrected"),
                resamples=bootstrap.resamples,
            ),
        }
    found["no_face_rate"] = float(1.0 - faces["present"].mean())
    return found


def _lines(guidance: float, found: Mapping[str, Any], space: AttributeSpace) -> list[str]:
    """One line per attribute and class: planted, raw and corrected."""
    lines = []
    for name in space.names:
        entry = found[name]["corrected"]
        bias = entry["bias"]
        low, high = bias["ci95"]
        lines.append(
            f"guidance {guidance:g}, {name}: bias planted {bias['planted']:.3f}, raw "
            f"{bias['raw']:.3f}, corrected {bias['corrected']:.3f} [{low:.3f}, {high:.3f}]"
        )
        for label, part in entry["classes"].items():
            low, high = part["ci95"]
            lines.append(
                f"  {label}: planted {part['planted']:.3f}, raw {part['raw']:.3f}, corrected "
                f"{part['corrected']:.3f}, corrected - planted {part['difference']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}]: {'agrees' if part['agrees'] else 'differs'}"
            )
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check from the command line."""
    parser = arguments(STAGE, __doc__)
    parser.add_argument("--classifiers", type=Path, default=Path("artifacts/classifiers"))
    parser.add_argument("--work", type=Path, default=Path("artifacts/check_portraits"))
    parser.add_argument("--out", type=Path, default=Path("metrics/portraits.json"), help="written")
    parser.add_argument("--images", type=int, default=40, help="images per occupation")
    parser.add_argument("--labels", type=int, default=8, help="images per prompt naming a class")
    parser.add_argument("--split", default="test", help="train, validation, test or all")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            models=params.section("models"),
            attributes=params.section("attributes"),
            classifiers=args.classifiers,
            images=args.images,
            labels=args.labels,
            split=args.split,
            steps=params.generate_images.steps,
            guidances=(1.0, params.generate_images.guidance),
            batch_size=params.measure_images.batch_size,
            settings=settings,
            work=args.work,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
