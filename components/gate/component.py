"""Pipeline task: the release gate, which also registers what passes."""

from kfp.dsl import Artifact, Dataset, Input, Metrics, Model, Output

from components.contract import STARTS, component

READS = (*STARTS, "attributes", "evaluate_bias.split", "gate")


@component
def gate(
    parameters: str,
    policy: str,
    evaluation: Input[Dataset],
    metrics: Input[Metrics],
    bundle: Input[Model],
    report: Input[Artifact],
    verdict: Output[Artifact],
) -> None:
    """Judge the aligned model by the policy; the pipeline fails where it is not met."""
    from components.gate.main import main
    from components.task import policy_file, run_step

    with policy_file(policy) as file:
        run_step(
            main,
            parameters,
            policy=file,
            evaluated=evaluation.path,
            metrics=metrics.path,
            bundle=bundle.path,
            report=report.path,
            out=verdict.path,
        )
