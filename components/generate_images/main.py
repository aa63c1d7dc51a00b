"""Sample the evaluation's images from the base model, or from it with the published bundle.

Base and aligned start from the same noise: a seed follows from the run's seed, the prompt and the
image's index, and from nothing else. What a killed run has finished waits in ``OUT.partial``.
Several processes can make a shard each, which ``--merge`` puts together; the images do not depend
on how many there are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.step import Settings, arguments, execute, open_step

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from fairness_core.config import Params
    from fairness_core.evaluation import Shard

STEP = "generate_images"
PICTURES = 48
COLUMNS = 8


def run(
    *,
    model: str,
    base: str,
    sampler: str | None,
    bundle: Path | None,
    prompts: Path,
    split: str,
    also: Sequence[str],
    steps: int,
    guidance: float,
    batch_size: int,
    decode_batch_size: int | None,
    precision: str,
    settings: Settings,
    out: Path,
    shard: Shard | None = None,
) -> None:
    """Write one PNG per planned image, ``images.parquet`` and a manifest.

    Args:
        model: ``base`` or ``aligned``.
        base: Base model: a folder, or ``portraits:NAME``.
        sampler: What solves it, one of ``SAMPLERS``; None: its own.
        bundle: Folder of ``publish`` for ``aligned``, None for ``base``.
        prompts: Folder of ``generate_prompts``.
        split: Held-out split; attribute-naming prompts and scenes are added to it.
        also: Further splits.
        steps: Sampling steps.
        guidance: Classifier-free guidance.
        batch_size: Images per network call.
        decode_batch_size: Images decoded at once, None: ``batch_size``.
        precision: Type of the model's weights: float32 or bfloat16.
        settings: Section ``run``.
        out: Folder to write.
        shard: The part to make; None: all.

    Raises:
        ArtifactError: Prompts or bundle are missing or damaged.
        ConfigError: Another model's name, or a bundle too many or too few.
        ModelError: The base model is missing or damaged, or the bundle belongs to another.
        PromptError: There is no prompt to sample.
    """
    from fairness_core.diffusion import DiffusionStack
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import (
        IMAGE_NOISE,
        MODELS,
        Sampling,
        check_images,
        generate_folder,
        plan_images,
        read_images,
        to_bytes,
    )
    from fairness_core.export import load_bundle, weights_sha256
    from fairness_core.portraits.models import resolve
    from fairness_core.prompts import ALWAYS
    from fairness_core.runtime import as_dtype, read_table, sha256_file, verify

    if model not in MODELS or (model == "aligned") != (bundle is not None):
        raise ConfigError(
            "Images come from the base model, or from the aligned model and its bundle",
            given=f"model '{model}', bundle {bundle}",
            do="name base without a bundle, or aligned with one",
        )
    check_images(out, [prompts, bundle])
    parameters = {
        "model": model, "base": base, "sampler": sampler, "steps": steps, "guidance": guidance,
        "precision": precision,
    }  # fmt: skip
    with open_step(f"{STEP} {model}", settings, parameters) as step:
        verify(prompts, kind="prompts")
        read = {"prompts": prompts} | ({} if bundle is None else {"bundle": bundle})
        step.tracker.inputs(read, "sampling")
        catalog = read_table(prompts / "prompts.parquet")
        plan = read_table(prompts / "plan.parquet")
        wanted = catalog.loc[catalog["split"].isin([split, *also, *ALWAYS]), "prompt_id"]
        sampling = Sampling(
            IMAGE_NOISE, settings.seed, guidance, steps, batch_size, decode_batch_size
        )
        rows = plan_images(catalog, plan[plan["prompt_id"].isin(wanted)], sampling, model=model)
        folder = resolve(base)
        weights = weights_sha256(folder)
        stack = DiffusionStack.load(
            folder, device=step.device, dtype=as_dtype(precision), sampler=sampler
        )
        recipe: dict[str, object] = {"model": model, "base_sha256": weights}
        if bundle is not None:
            facts = load_bundle(stack, bundle, base=weights)["extra"]
            recipe["bundle_sha256"] = sha256_file(bundle / "manifest.json")
            recipe["classifier_sha256"] = facts.get("classifier_sha256")
        step.log.info("%d images of %d prompts", len(rows), rows["prompt_id"].nunique())
        seconds = generate_folder(
            stack, rows, out, sampling, recipe=recipe, label=f"{model} model's images", shard=shard
        )
        made = read_table(out / "images.parquet")
        each = 1000 * seconds / max(1, len(made))
        step.log.info("%.0f s of sampling, %.0f ms an image", seconds, each)
        step.tracker.metrics({"seconds": seconds, "images": float(len(made))})
        shown = made.loc[made["index"] < 2, "file"].iloc[:PICTURES]
        if len(shown):
            step.tracker.picture(f"{model}_images", _grid(to_bytes(read_images(out, shown))))


def merge(shards: Sequence[Path], *, model: str, settings: Settings, out: Path) -> None:
    """Put the folders of all shards of a model together.

    Args:
        shards: Folders that `run` wrote, each with another shard.
        model: ``base`` or ``aligned``.
        settings: Section ``run``.
        out: Folder to write: what one process would have written.

    Raises:
        ArtifactError: A shard is missing, damaged, there twice, or of other settings.
    """
    from fairness_core.evaluation import merge_shards

    with open_step(f"{STEP} {model} merge", settings, {"shards": len(shards)}) as step:
        images = merge_shards(shards, out)
        step.log.info("%d images of %d shards", images, len(shards))


def _grid(pixels: UInt8[np.ndarray, "n h w 3"]) -> UInt8[np.ndarray, "y x 3"]:
    """Several images as one, eight in a row, the rest white."""
    import numpy as np

    n, height, width, _ = pixels.shape
    columns = min(COLUMNS, n)
    rows = -(-n // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, dtype=np.uint8)
    sheet[:n] = pixels
    grid = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return np.ascontiguousarray(grid.reshape(rows * height, columns * width, 3))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = arguments(STEP, __doc__)
    parser.add_argument("--model", choices=("base", "aligned"), required=True)
    parser.add_argument("--prompts", type=Path, default=Path("artifacts/prompts"), help="read")
    parser.add_argument(
        "--bundle", type=Path, default=Path("artifacts/bundle"), help="read for --model aligned"
    )
    parser.add_argument("--out", type=Path, help="written; artifacts/images/MODEL if not given")
    parser.add_argument("--shard", metavar="NUMBER/OF", help="make this part alone, such as 2/4")
    parser.add_argument(
        "--merge", type=Path, action="append", metavar="FOLDER", help="put shards together; repeat"
    )

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        from fairness_core.evaluation import Shard

        out = args.out or Path("artifacts/images") / args.model
        if args.merge:
            merge(args.merge, model=args.model, settings=settings, out=out)
            return
        run(
            model=args.model,
            base=params.models.base,
            sampler=params.models.sampler,
            bundle=args.bundle if args.model == "aligned" else None,
            prompts=args.prompts,
            split=params.evaluate_bias.split,
            also=params.evaluate_bias.also,
            **params.section(STEP),
            settings=settings,
            out=out,
            shard=Shard.parse(args.shard) if args.shard else None,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
