"""How base and aligned change with guidance, the number of steps and the sampler.

Each is varied on its own around the settings of ``generate_images``, on a few held-out prompts.
Not a step of the pipeline: run it after one. What a killed run has finished waits in OUT, and the
finished settings are read again when others are added. ``--into`` puts the figures into the
evaluation's, where report and gate find them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, Step, arguments, execute, face_detector, open_step

if TYPE_CHECKING:
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params
    from fairness_core.evaluation import Assessment, Bootstrap, Instruments
    from fairness_core.evaluation.sweep import Point

STEP = "sweep"
MODELS = ("base", "aligned")
WEIGHTS = "model.safetensors"


def run(
    *,
    sweep: Mapping[str, Any],
    sampling: Mapping[str, Any],
    models: Mapping[str, Any],
    attributes: Mapping[str, Any],
    targets: Mapping[str, Any],
    prompts: Path,
    classifiers: Path,
    bundle: Path,
    settings: Settings,
    out: Path,
    into: Path | None,
) -> None:
    """Write ``sweeps.json`` and the images of every setting.

    Args:
        sweep: Section ``sweep``.
        sampling: Section ``generate_images``: the centre.
        models: Section ``models``.
        attributes: Section ``attributes``.
        targets: Section ``targets``.
        prompts: Folder of ``generate_prompts``.
        classifiers: Folder of ``calibrate_classifier``; its ``audit`` measures.
        bundle: Folder of ``publish``.
        settings: Section ``run``.
        out: Folder to write.
        into: JSON file of ``evaluate_bias`` that gets the figures as ``sweeps``.

    Raises:
        ArtifactError: An input is missing or damaged.
        ConfigError: Nothing is swept.
        FaceError: A setting of a model shows no face in any image.
        ModelError: The audit classifier was trained with, or the model takes no other sampler.
    """
    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import Bootstrap
    from fairness_core.evaluation.sweep import Point, plan_sweep, point_figures, spread_prompts
    from fairness_core.prompts import select
    from fairness_core.runtime import read_json, read_table, verify, write_json

    centre = Point(float(sampling["guidance"]), sampling["steps"])
    axes = plan_sweep(
        centre, guidance=sweep["guidance"], steps=sweep["steps"], samplers=sweep["samplers"]
    )
    if not axes:
        raise ConfigError(
            "Nothing is swept: guidance, steps and samplers are all empty",
            do="list values in section sweep, or give --set sweep.guidance=[1,3,7]",
        )
    with open_step(STEP, settings, {key: str(value) for key, value in sweep.items()}) as step:
        space = AttributeSpace.from_mapping(attributes, targets["joint"])
        verify(prompts, kind="prompts")
        catalog = read_table(prompts / "prompts.parquet")
        chosen = spread_prompts(select(catalog, sweep["split"]), sweep["prompts"])
        sampler = _Sampler(models, classifiers, bundle, sampling["batch_size"], settings, step, out)
        instruments = sampler.instruments(space)
        intervals = Bootstrap(settings.seed, sweep["bootstrap"])
        found: dict[str, dict[str, Any]] = {}
        points = {point.name: point for values in axes.values() for point in values.values()}
        for number, point in enumerate(points.values(), start=1):
            seen = {
                model: sampler.measured(model, point, chosen, sweep["images"], instruments, space)
                for model in MODELS
            }
            found[point.name] = point_figures(
                seen, catalog, space, _own(intervals, point), split=sweep["split"]
            )
            for line in _lines(point, found[point.name], space):
                step.log.info("%d of %d, %s", number, len(points), line)
        figures = {
            "centre": {"guidance": centre.guidance, "steps": centre.steps, "sampler": "own"},
            "split": sweep["split"],
            "n_prompts": len(chosen),
            "images_per_prompt": sweep["images"],
            "axes": {
                axis: [{"value": value, **found[point.name]} for value, point in values.items()]
                for axis, values in axes.items()
            },
        }
        write_json(figures, out / "sweeps.json")
        step.log.info("wrote %s", out / "sweeps.json")
        step.tracker.metrics(_headline(figures, space))
        step.tracker.artifact(out / "sweeps.json")
        if into is not None:
            write_json({**read_json(into), "sweeps": figures}, into)
            step.log.info("put the figures into %s; run report and gate again", into)


class _Sampler:
    """Images of both models at any setting, and what is measured on them."""

    def __init__(
        self,
        models: Mapping[str, Any],
        classifiers: Path,
        bundle: Path,
        batch_size: int,
        settings: Settings,
        step: Step,
        out: Path,
    ) -> None:
        from fairness_core.diffusion import DiffusionStack
        from fairness_core.evaluation import check_audit
        from fairness_core.export import load_bundle, weights_sha256
        from fairness_core.portraits.models import resolve
        from fairness_core.runtime import sha256_file, verify

        verify(classifiers, kind="classifiers")
        self._models, self._classifiers, self._out = models, classifiers, out
        self._batch_size, self._settings, self._step = batch_size, settings, step
        folder = resolve(models["base"])
        weights = weights_sha256(folder)
        self._stacks = {model: DiffusionStack.load(folder, device=step.device) for model in MODELS}
        facts = load_bundle(self._stacks["aligned"], bundle, base=weights)["extra"]
        check_audit(
            sha256_file(classifiers / "audit" / WEIGHTS),
            trained_with=(
                sha256_file(classifiers / "train" / WEIGHTS),
                facts.get("classifier_sha256"),
            ),
        )
        self._own = self._stacks["base"].scheduler
        self._recipes = {model: {"model": model, "base_sha256": weights} for model in MODELS}
        self._recipes["aligned"]["bundle_sha256"] = sha256_file(bundle / "manifest.json")

    def instruments(self, space: AttributeSpace) -> Instruments:
        """The networks of the evaluation."""
        from fairness_core.classifiers import AttributeClassifier
        from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
        from fairness_core.evaluation import Instruments
        from fairness_core.portraits.models import resolve

        device, models = self._step.device, self._models
        return Instruments(
            detector=face_detector(models, device.type),
            classifier=AttributeClassifier.load(self._classifiers / "audit", space).to(device),
            image_text=ImageTextEncoder.load(resolve(models["audit_image_text"]), device=device),
            image_self=ImageSelfEncoder.load(resolve(models["audit_image_self"]), device=device),
            device=device,
        )

    def measured(
        self,
        model: str,
        point: Point,
        prompts: pd.DataFrame,
        images: int,
        instruments: Instruments,
        space: AttributeSpace,
    ) -> Assessment:
        """One model's images at a setting, sampled where they are not there, and measured."""
        import pandas as pd

        from fairness_core.diffusion import scheduler_of
        from fairness_core.evaluation import (
            IMAGE_NOISE,
            Sampling,
            assess,
            generate_folder,
            plan_images,
        )
        from fairness_core.runtime import read_table

        stack = self._stacks[model]
        own = point.sampler == "own"
        stack.scheduler = self._own if own else scheduler_of(point.sampler, self._own)
        # The noise of the evaluation: the centre's images are the evaluation's.
        told = Sampling(
            IMAGE_NOISE, self._settings.seed, point.guidance, point.steps, self._batch_size
        )
        counts = pd.DataFrame({"prompt_id": prompts["prompt_id"], "images": images})
        rows = plan_images(prompts, counts, told, model=model)
        folder = self._out / "images" / point.name / model
        generate_folder(
            stack,
            rows,
            folder,
            told,
            recipe={**self._recipes[model], "sampler": point.sampler},
            label=f"{point.name}, {model}",
            reuse=True,
        )
        return assess(
            read_table(folder / "images.parquet"),
            folder,
            prompts,
            instruments,
            space,
            batch_size=self._batch_size,
            label=f"{point.name}, {model} measured",
        )


def _own(intervals: Bootstrap, point: Point) -> Bootstrap:
    """Draws of a setting's own: curves are not to share the noise of their intervals."""
    from fairness_core.evaluation import Bootstrap
    from fairness_core.runtime.seeds import seed_for

    return Bootstrap(seed_for(intervals.seed, STEP, point.name), intervals.resamples)


def _lines(point: Point, figures: Mapping[str, Any], space: AttributeSpace) -> list[str]:
    from fairness_core.evaluation import measured_groups
    from fairness_core.metrics import group_name

    said = []
    for name in map(group_name, measured_groups(space)):
        parts = []
        for model in MODELS:
            entry = figures[model][name]
            low, high = entry["ci95"]
            parts.append(f"{model} {entry['bias']:.3f} [{low:.3f}, {high:.3f}]")
        floor = figures["aligned"][name]["fair_floor"]
        said.append(f"{point.name}, {name}: {', '.join(parts)}, fair-sampler floor {floor:.3f}")
    return said


def _headline(figures: Mapping[str, Any], space: AttributeSpace) -> dict[str, float]:
    from fairness_core.evaluation import measured_groups
    from fairness_core.metrics import group_name

    return {
        f"{model}/{axis} {point['value']}/bias_{name}".replace("+", "p"): point[model][name]["bias"]
        for axis, points in figures["axes"].items()
        for point in points
        for model in MODELS
        for name in map(group_name, measured_groups(space))
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep from the command line."""
    parser = arguments(STEP, __doc__)
    for name, default in (
        ("prompts", "artifacts/prompts"),
        ("classifiers", "artifacts/classifiers"),
        ("bundle", "artifacts/bundle"),
    ):
        parser.add_argument(f"--{name}", type=Path, default=Path(default), help="read")
    parser.add_argument("--out", type=Path, default=Path("artifacts/sweep"), help="written")
    parser.add_argument("--into", type=Path, help="evaluation.json that gets the figures too")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            sweep=params.section(STEP),
            sampling=params.section("generate_images"),
            models=params.section("models"),
            attributes=params.section("attributes"),
            targets=params.section("targets"),
            prompts=args.prompts,
            classifiers=args.classifiers,
            bundle=args.bundle,
            settings=settings,
            out=args.out,
            into=args.into,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
