"""Pipeline task: the report and the model card."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Markdown, Metrics, Model, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models",
    "attributes",
    "targets",
    "generate_prompts.world",
    "finetune.align",
    "evaluate_bias.split",
    "gate.draws",
    "report",
)


@component
def report(
    parameters: str,
    policy: str,
    prompts: Input[Dataset],
    classifiers: Input[Model],
    finetuned: Input[Model],
    bundle: Input[Model],
    base: Input[Dataset],
    aligned: Input[Dataset],
    evaluation: Input[Dataset],
    metrics: Input[Metrics],
    folder: Output[Artifact],
    page: Output[HTML],
    card: Output[Markdown],
) -> None:
    """Write one HTML page that loads nothing, and the model card with its figures."""
    from pathlib import Path
    from shutil import copyfile

    from components.report.main import main
    from components.task import policy_file, run_step

    with policy_file(policy) as file:
        run_step(
            main,
            parameters,
            prompts=prompts.path,
            classifiers=classifiers.path,
            finetuned=finetuned.path,
            bundle=bundle.path,
            base=base.path,
            aligned=aligned.path,
            evaluated=evaluation.path,
            metrics=metrics.path,
            policy=file,
            out=folder.path,
        )
    copyfile(Path(folder.path, "report.html"), page.path)
    copyfile(Path(folder.path, "model-card.md"), card.path)
