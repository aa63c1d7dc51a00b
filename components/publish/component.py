"""Pipeline task: the bundle."""

from kfp.dsl import Input, Model, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models.base",
    "models.sampler",
    "attributes",
    "finetune",
    "publish",
    "targets",
)


@component
def publish(
    parameters: str,
    finetuned: Input[Model],
    classifiers: Input[Model],
    bundle: Output[Model],
) -> None:
    """Write the adapters as stock diffusers loads them."""
    from components.publish.main import main
    from components.task import run_step

    run_step(
        main,
        parameters,
        finetuned=finetuned.path,
        classifiers=classifiers.path,
        out=bundle.path,
    )
