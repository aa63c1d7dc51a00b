"""Pipeline task: base, aligned and baselines compared by what was measured."""

from typing import List

from kfp.dsl import ClassificationMetrics, Dataset, Input, Metrics, Output

from components.contract import STARTS, component

READS = (*STARTS, "attributes", "targets", "evaluate_bias")


@component
def evaluate_bias(
    parameters: str,
    prompts: Input[Dataset],
    measured: Input[List[Dataset]],
    evaluation: Output[Dataset],
    metrics: Output[Metrics],
    changes: Output[ClassificationMetrics],
) -> None:
    """Compare all models; ``changes`` counts the class of an image before and after."""
    from components.evaluate_bias.changes import class_changes
    from components.evaluate_bias.main import main
    from components.task import log_figures, run_step

    run_step(
        main,
        parameters,
        prompts=prompts.path,
        measured=[shard.path for shard in measured],
        out=evaluation.path,
        metrics=metrics.path,
    )
    log_figures(metrics)
    changes.log_confusion_matrix(*class_changes(parameters, evaluation.path))
