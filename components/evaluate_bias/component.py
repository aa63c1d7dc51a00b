"""Pipeline task: what is measured of base, aligned and baselines."""

from kfp.dsl import ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from components.contract import STARTS, component

READS = (*STARTS, "models", "attributes", "targets", "evaluate_bias")


@component
def evaluate_bias(
    parameters: str,
    prompts: Input[Dataset],
    classifiers: Input[Model],
    base: Input[Dataset],
    aligned: Input[Dataset],
    baselines: Input[Dataset],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    changes: Output[ClassificationMetrics],
) -> None:
    """Measure all models; ``changes`` counts the class of an image before and after."""
    from components.evaluate_bias.changes import class_changes
    from components.evaluate_bias.main import main
    from components.task import log_figures, run_step

    run_step(
        main,
        parameters,
        prompts=prompts.path,
        classifiers=classifiers.path,
        base=base.path,
        aligned=aligned.path,
        baselines=baselines.path,
        out=evaluation.path,
        metrics=metrics.path,
    )
    log_figures(metrics)
    changes.log_confusion_matrix(*class_changes(parameters, evaluation.path))
