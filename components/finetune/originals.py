"""Sample the frozen model's latents of a whole run ahead of it, by as many workers as there are.

Each shard takes every so-many-th iteration. What is stored already stays, so a worker that was
stopped goes on, and several runs with the same model and noise read the same files. A run with
``finetune.originals`` at ``stored`` samples what it does not find itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.step import Settings, arguments, execute, open_step
from components.task import ORIGINALS, kept_originals

if TYPE_CHECKING:
    from fairness_core.config import Params

__all__ = ["main", "run"]

STEP = "originals"


def run(
    *,
    finetune: Mapping[str, Any],
    base: str,
    sampler: str | None,
    attributes: Mapping[str, Any],
    joint: Mapping[str, Any] | None,
    settings: Settings,
    prompts: Path,
    originals: Path,
    shard: str,
    processes: int,
) -> None:
    """Store every batch of this shard that is missing.

    Args:
        finetune: Section ``finetune``.
        base: The base model.
        sampler: What solves it; None: its own.
        attributes: Section ``attributes``.
        joint: The joint table of section ``targets``.
        settings: Section ``run``.
        prompts: Folder of ``generate_prompts``.
        originals: The store's folder.
        shard: ``I/N``, I from 1.
        processes: Processes of the training that will read them, each its own part of a batch.

    Raises:
        ConfigError: The shard is no such text, or there are more processes than images.
    """
    from components.finetune.assemble import new_schedule, originals_store
    from components.finetune.prompts import training_prompts
    from fairness_core.attributes import AttributeSpace
    from fairness_core.config import Finetune
    from fairness_core.diffusion import DiffusionStack
    from fairness_core.errors import ConfigError
    from fairness_core.evaluation import Shard
    from fairness_core.portraits.models import resolve
    from fairness_core.runtime import as_dtype
    from fairness_core.runtime.artifacts import read_table, verify
    from fairness_core.runtime.logs import progress
    from fairness_core.training import plan_batch

    section, part = Finetune(**finetune), Shard.parse(shard)
    images = section.images_per_prompt
    if not 1 <= processes <= images:
        raise ConfigError(f"{processes} processes cannot share {images} images", given=processes)
    with open_step(STEP, settings, {"shard": shard}) as step:
        verify(prompts)
        table = read_table(prompts / "prompts.parquet")
        space = AttributeSpace.from_mapping(attributes, joint)
        texts = training_prompts(table, space, section.prompt_families).texts
        kind = as_dtype(section.precision)
        stack = DiffusionStack.load(resolve(base), device=step.device, dtype=kind, sampler=sampler)
        store = originals_store(section, base, stack, originals)
        schedule = new_schedule(section, settings.seed)
        made = 0
        own = range(part.number - 1, section.iterations, part.of)
        for iteration in progress(own, label=f"originals, shard {shard}"):
            for rank in range(processes):
                rows = range(images * rank // processes, images * (rank + 1) // processes)
                batch = plan_batch(texts, iteration, schedule, rows)
                if not store.has(stack, batch):
                    store.latents(stack, batch)
                    made += 1
        step.log.info("%d batches sampled, %d were there", made, len(own) * processes - made)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line: ``evenhand originals``."""
    parser = arguments("originals", __doc__)
    parser.prog = "evenhand originals"
    parser.set_defaults(step=STEP)
    parser.add_argument("--prompts", type=Path, default=Path("artifacts/prompts"))
    parser.add_argument("--originals", type=Path, default=kept_originals(), help=f"see {ORIGINALS}")
    parser.add_argument("--shard", default="1/1", help="I/N: every N-th iteration from the I-th")
    parser.add_argument("--processes", type=int, default=1, help="of the training that reads them")

    def work(args: argparse.Namespace, params: Params, settings: Settings) -> None:
        run(
            finetune=params.section("finetune"),
            base=params.models.base,
            sampler=params.models.sampler,
            attributes=params.section("attributes"),
            joint=params.section("targets")["joint"],
            settings=settings,
            prompts=args.prompts,
            originals=args.originals,
            shard=args.shard,
            processes=args.processes,
        )

    return execute(parser, argv, work)


if __name__ == "__main__":
    sys.exit(main())
