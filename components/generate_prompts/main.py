"""Write the prompt catalog and how many images the evaluation makes of each prompt.

The plan is a file of its own, so that another number of images does not repeat the training,
which reads the catalog only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    from fairness_core.config import Params

STEP = "generate_prompts"
PORTRAITS, PHOTOS = "portraits", "photos"
# Splits that the evaluation makes images of, by the parameter that says how many.
TESTED = ("validation", "test", "sports", "descriptors", "styles")
STRESS = ("named", "triggers", "clothing", "history", "pairs")
WITHOUT_PEOPLE = ("scenes",)


def run(
    *,
    world: str,
    test_images: int,
    named_images: int,
    scene_images: int,
    attributes: Mapping[str, Any],
    overrides: Mapping[str, Any] | str,
    settings: Settings,
    out: Path,
) -> None:
    """Check a catalog and write ``prompts.parquet``, ``plan.parquet`` and ``summary.json``.

    Args:
        world: ``portraits`` (the drawn world), ``photos`` (the prompt sets that ship with the
            package), or the path of a catalog of one's own (.csv or .parquet).
        test_images: Images of each held-out prompt (splits validation, test, sports, descriptors
            and styles).
        named_images: Images of each prompt that names an attribute, and of the stress packs.
        scene_images: Images of each prompt without people.
        attributes: Section ``attributes``.
        overrides: Targets of single prompts, or the file that holds them.
        settings: Section ``run``.
        out: Folder to write.

    Raises:
        ArtifactError: The folder may not be replaced, see ``check_output``.
        PromptError: The catalog is empty or wrong, or a subject of one split appears in another.
        TargetError: A target of a single prompt is wrong, or there is no such prompt.
    """
    import pandas as pd

    from fairness_core.attributes import AttributeSpace
    from fairness_core.portraits.concepts import prompt_catalog
    from fairness_core.prompts import (
        SETS,
        apply_overrides,
        check_catalog,
        check_leakage,
        photo_catalog,
        read_catalog,
        read_overrides,
        read_set,
        select,
        shared_words,
    )
    from fairness_core.runtime import (
        atomic_folder,
        check_output,
        write_json,
        write_manifest,
        write_table,
    )

    read = [overrides if isinstance(overrides, str) else None]
    check_output(out, "prompts", [*read, None if world in (PORTRAITS, PHOTOS) else world])
    parameters = {"world": world, "test_images": test_images, "named_images": named_images}
    with open_step(STEP, settings, parameters) as step:
        space = AttributeSpace.from_mapping(attributes)
        if world == PORTRAITS:
            raw = prompt_catalog()
        else:
            raw = photo_catalog(space) if world == PHOTOS else read_catalog(world)
        prompts = check_catalog(raw, space)
        check_leakage(prompts)
        own = read_overrides(overrides) if isinstance(overrides, str) else overrides
        prompts = apply_overrides(prompts, space, own)
        for split in ("train", "test"):
            select(prompts, split)
        images = (
            dict.fromkeys(TESTED, test_images)
            | dict.fromkeys(STRESS, named_images)
            | dict.fromkeys(WITHOUT_PEOPLE, scene_images)
        )
        planned = prompts[prompts["split"].isin(list(images))]
        plan = pd.DataFrame(
            {"prompt_id": planned["prompt_id"], "images": planned["split"].map(images)}
        )
        counts = {str(k): int(v) for k, v in prompts["split"].value_counts(sort=False).items()}
        known = shared_words(prompts)
        with atomic_folder(out) as folder:
            write_table(prompts, folder / "prompts.parquet")
            write_table(plan, folder / "plan.parquet")
            summary = {"prompts": counts, "held_out_words_known": known}
            if world == PHOTOS:
                summary["sets"] = {name: read_set(name).facts for name in SETS}
            write_json(summary, folder / "summary.json")
            write_manifest(folder, "prompts")
        step.log.info("%d prompts: %s", len(prompts), counts)
        step.log.info("%.0f %% of the words of held-out subjects occur in training", 100 * known)
        step.tracker.metrics({f"prompts_{split}": float(n) for split, n in counts.items()})
        step.tracker.artifact(out / "summary.json")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--out", type=Path, default=Path("artifacts/prompts"), help="written")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            **params.section("generate_prompts"),
            attributes=params.section("attributes"),
            overrides=params.targets.overrides,
            settings=settings,
            out=args.out,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
