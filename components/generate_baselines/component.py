"""Pipeline task: images of the methods that do not train."""

from kfp.dsl import Dataset, Input, Model, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models",
    "attributes",
    "targets",
    "finetune.align",
    "generate_images",
    "baselines",
    "evaluate_bias.also",
    "evaluate_bias.split",
)


@component
def generate_baselines(
    parameters: str,
    prompts: Input[Dataset],
    classifiers: Input[Model],
    baselines: Output[Dataset],
) -> None:
    """Sample the base model changed by each method that is listed; none listed: a manifest only."""
    from components.generate_baselines.main import main
    from components.task import run_step

    run_step(
        main,
        parameters,
        prompts=prompts.path,
        classifiers=classifiers.path,
        out=baselines.path,
    )
