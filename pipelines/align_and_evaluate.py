"""The whole run: prompts, classifiers, training, bundle, images, evaluation, report, gate."""

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from components.build_bank.component import build_bank
from components.calibrate_classifier.component import calibrate_classifier
from components.finetune.component import finetune
from components.finish.component import finish
from components.gate.component import gate
from components.generate_prompts.component import generate_prompts
from components.publish.component import publish
from components.stages import RUN_STEPS
from pipelines.parts import Measured, measure_and_report
from pipelines.resources import Placement

__all__ = ["INPUTS", "NAME", "STEPS", "build"]

NAME = "evenhand-align-and-evaluate"
# Steps that have parameters; each is a parameter of the pipeline: JSON of what the step reads.
STEPS = RUN_STEPS
# Artifacts of earlier runs that it starts from.
INPUTS: tuple[str, ...] = ()


def build(placement: Placement, shards: int) -> BaseComponent:
    """Wire the steps; a test holds the result equal to dvc.yaml."""

    @dsl.pipeline(name=NAME, description=__doc__)
    def align_and_evaluate(
        generate_prompts_parameters: str,
        calibrate_classifier_parameters: str,
        build_bank_parameters: str,
        finetune_parameters: str,
        publish_parameters: str,
        generate_images_parameters: str,
        generate_baselines_parameters: str,
        measure_images_parameters: str,
        evaluate_bias_parameters: str,
        report_parameters: str,
        gate_parameters: str,
        policy: str,
    ) -> None:
        with dsl.ExitHandler(placement.apply(finish(), "finish", "Finish"), name="run"):
            prompts = generate_prompts(parameters=generate_prompts_parameters)
            placement.apply(prompts, "generate_prompts", "Write prompts")
            classifiers = calibrate_classifier(parameters=calibrate_classifier_parameters)
            placement.apply(classifiers, "calibrate_classifier", "Calibrate classifiers")
            bank = build_bank(parameters=build_bank_parameters)
            placement.apply(bank, "build_bank", "Build face bank")
            trained = finetune(
                parameters=finetune_parameters,
                prompts=prompts.outputs["prompts"],
                classifiers=classifiers.outputs["classifiers"],
                bank=bank.outputs["bank"],
            )
            placement.apply(trained, "finetune", "Finetune")
            published = publish(
                parameters=publish_parameters,
                finetuned=trained.outputs["finetuned"],
                classifiers=classifiers.outputs["classifiers"],
            )
            placement.apply(published, "publish", "Publish bundle")
            judged = measure_and_report(
                {
                    "generate_images": generate_images_parameters,
                    "generate_baselines": generate_baselines_parameters,
                    "measure_images": measure_images_parameters,
                    "evaluate_bias": evaluate_bias_parameters,
                    "report": report_parameters,
                },
                policy,
                Measured(
                    prompts=prompts.outputs["prompts"],
                    classifiers=classifiers.outputs["classifiers"],
                    finetuned=trained.outputs["finetuned"],
                    bundle=published.outputs["bundle"],
                ),
                placement,
                shards,
            )
            passed = gate(
                parameters=gate_parameters,
                policy=policy,
                evaluation=judged.evaluation,
                metrics=judged.metrics,
                bundle=published.outputs["bundle"],
                report=judged.report,
            )
            placement.apply(passed, "gate", "Judge and register")

    return align_and_evaluate
