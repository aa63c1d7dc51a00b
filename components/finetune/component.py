"""Pipeline task: training."""

from kfp.dsl import Dataset, Input, Metrics, Model, Output

from components.contract import STARTS, component

READS = (*STARTS, "models", "attributes", "finetune", "targets")


@component
def finetune(
    parameters: str,
    prompts: Input[Dataset],
    classifiers: Input[Model],
    bank: Input[Dataset],
    finetuned: Output[Model],
    metrics: Output[Metrics],
) -> None:
    """Train the adapters; a retry goes on from the last checkpoint."""
    from components.finetune.launch import launch
    from components.task import checkpoint_folder, log_figures, originals_folder, run_step

    read = (prompts.path, classifiers.path, bank.path)
    with checkpoint_folder(parameters, finetuned.path, *read) as checkpoints:
        run_step(
            launch,
            parameters,
            prompts=prompts.path,
            classifiers=classifiers.path,
            bank=bank.path,
            checkpoints=checkpoints,
            originals=originals_folder(finetuned.path),
            out=finetuned.path,
            metrics=metrics.path,
        )
    log_figures(metrics)
