"""Pipeline task: the training classifier and the audit classifier."""

from kfp.dsl import Metrics, Model, Output

from components.contract import STARTS, component

READS = (*STARTS, "attributes", "calibrate_classifier")


@component
def calibrate_classifier(
    parameters: str, classifiers: Output[Model], metrics: Output[Metrics]
) -> None:
    """Fit and calibrate two classifiers that share neither architecture nor images."""
    from components.calibrate_classifier.main import main
    from components.task import log_figures, run_step

    run_step(main, parameters, out=classifiers.path, metrics=metrics.path)
    log_figures(metrics)
