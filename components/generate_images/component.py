"""Pipeline tasks: a shard of a model's images, and all its shards put together."""

from typing import List, Optional

from kfp.dsl import Dataset, Input, Model, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models.base",
    "models.sampler",
    "generate_images",
    "evaluate_bias.also",
    "evaluate_bias.split",
)


@component
def generate_images(
    parameters: str,
    model: str,
    shard: str,
    prompts: Input[Dataset],
    images: Output[Dataset],
    bundle: Optional[Input[Model]] = None,
) -> None:
    """Sample one shard of the images of the base model, or of the aligned one and its bundle."""
    from components.generate_images.main import main
    from components.task import run_step

    run_step(
        main,
        parameters,
        model=model,
        shard=shard,
        prompts=prompts.path,
        bundle=bundle.path if bundle else None,
        out=images.path,
    )


@component
def merge_images(
    parameters: str,
    model: str,
    shards: Input[List[Dataset]],
    images: Output[Dataset],
) -> None:
    """Put the shards of one model's images together."""
    from components.generate_images.main import main
    from components.task import run_step

    folders = [shard.path for shard in shards]
    run_step(main, parameters, model=model, merge=folders, out=images.path)
