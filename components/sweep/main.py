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

from components.step import Settings, arguments, execute, open_step
from components.sweep.sampler import MODELS, Sampler

if TYPE_CHECKING:
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Params
    from fairness_core.evaluation import Bootstrap
    from fairness_core.evaluation.sweep import Point

STEP = "sweep"


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
        models: Section ``models``; its sampler is the centre's.
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
        ConfigError: Nothing is swept, or the model takes no other sampler.
        FaceError: A setting of a model shows no face in any image.
        ModelError: The audit classifier was trained with.
    """
    from fairness_core.attributes import AttributeSpace
    from fairness_core.errors import ConfigError, FaceError
    from fairness_core.evaluation import Bootstrap
    from fairness_core.evaluation.sweep import Point, plan_sweep, point_figures, spread_prompts
    from fairness_core.prompts import select
    from fairness_core.runtime import read_json, read_table, verify, write_json

    own = models["sampler"] or "own"
    centre = Point(float(sampling["guidance"]), sampling["steps"], own)
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
        sampler = Sampler(models, classifiers, bundle, sampling, settings, step, out)
        instruments = sampler.instruments(space)
        intervals = Bootstrap(settings.seed, sweep["bootstrap"])
        found: dict[str, dict[str, Any]] = {}
        points = {point.name: point for values in axes.values() for point in values.values()}
        for number, point in enumerate(points.values(), start=1):
            seen = {
                model: sampler.measured(model, point, chosen, sweep["images"], instruments, space)
                for model in MODELS
            }
            try:
                found[point.name] = point_figures(
                    seen, catalog, space, _own(intervals, point), split=sweep["split"]
                )
            except FaceError as error:
                raise FaceError(
                    f"{error.what} at {point.name}",
                    given=error.given,
                    do="leave that setting out of the sweep; the others are kept",
                ) from error
            for line in _lines(point, found[point.name], space):
                step.log.info("%d of %d, %s", number, len(points), line)
        figures = {
            "centre": {"guidance": centre.guidance, "steps": centre.steps, "sampler": own},
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


def _own(intervals: Bootstrap, point: Point) -> Bootstrap:
    """Draws of a setting's own: curves are not to share the noise of their intervals."""
    from fairness_core.evaluation import Bootstrap
    from fairness_core.runtime.seeds import seed_for

    return Bootstrap(seed_for(intervals.seed, STEP, point.name), intervals.resamples)


def _lines(point: Point, figures: Mapping[str, Any], space: AttributeSpace) -> list[str]:
    from fairness_core.groups import group_name, measured_groups

    said = []
    for name in map(group_name, measured_groups(space.names)):
        parts = []
        for model in MODELS:
            entry = figures[model][name]
            low, high = entry["ci95"]
            parts.append(f"{model} {entry['bias']:.3f} [{low:.3f}, {high:.3f}]")
        floor = figures["aligned"][name]["fair_floor"]
        said.append(f"{point.name}, {name}: {', '.join(parts)}, fair-sampler floor {floor:.3f}")
    return said


def _headline(figures: Mapping[str, Any], space: AttributeSpace) -> dict[str, float]:
    from fairness_core.groups import group_name, measured_groups

    return {
        f"{model}/{axis} {point['value']}/bias_{name}".replace("+", "p"): point[model][name]["bias"]
        for axis, points in figures["axes"].items()
        for point in points
        for model in MODELS
        for name in map(group_name, measured_groups(space.names))
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the sweep from the command line."""
    parser = arguments(STEP, __doc__)
    parser.prog = "evenhand sweep"
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
