"""Pipeline task: a shard of what the networks see in all models' images."""

from kfp.dsl import Dataset, Input, Model, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models",
    "attributes",
    "measure_images",
    "evaluate_bias.also",
    "evaluate_bias.split",
)


@component
def measure_images(
    parameters: str,
    shard: str,
    prompts: Input[Dataset],
    classifiers: Input[Model],
    base: Input[Dataset],
    aligned: Input[Dataset],
    baselines: Input[Dataset],
    measurements: Output[Dataset],
) -> None:
    """Measure one shard of each model's images."""
    from components.measure_images.main import main
    from components.task import run_step

    run_step(
        main,
        parameters,
        shard=shard,
        prompts=prompts.path,
        classifiers=classifiers.path,
        base=base.path,
        aligned=aligned.path,
        baselines=baselines.path,
        out=measurements.path,
    )
