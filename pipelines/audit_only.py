"""A second look at a published bundle: fresh images, evaluation, report; nothing is trained."""

from kfp import dsl
from kfp.dsl import Model
from kfp.dsl.base_component import BaseComponent

from components.finish.component import finish
from components.generate_prompts.component import generate_prompts
from pipelines.parts import Measured, measure_and_report
from pipelines.resources import Placement

__all__ = ["INPUTS", "NAME", "STEPS", "build"]

NAME = "evenhand-audit-only"
STEPS = (
    "generate_prompts",
    "generate_images",
    "generate_baselines",
    "measure_images",
    "evaluate_bias",
    "report",
)
INPUTS = ("classifiers", "finetuned", "bundle")


def build(placement: Placement, shards: int) -> BaseComponent:
    """Wire the steps; classifiers, training log and bundle are those of an earlier run."""

    @dsl.pipeline(name=NAME, description=__doc__)
    def audit_only(
        classifiers_uri: str,
        finetuned_uri: str,
        bundle_uri: str,
        generate_prompts_parameters: str,
        generate_images_parameters: str,
        generate_baselines_parameters: str,
        measure_images_parameters: str,
        evaluate_bias_parameters: str,
        report_parameters: str,
        policy: str,
    ) -> None:
        with dsl.ExitHandler(placement.apply(finish(), "finish", "Finish"), name="run"):
            prompts = generate_prompts(parameters=generate_prompts_parameters)
            placement.apply(prompts, "generate_prompts", "Write prompts")
            earlier = {
                name: dsl.importer(artifact_uri=uri, artifact_class=Model, reimport=False)
                .set_display_name(f"Import {name}")
                .output
                for name, uri in (
                    ("classifiers", classifiers_uri),
                    ("finetuned", finetuned_uri),
                    ("bundle", bundle_uri),
                )
            }
            measure_and_report(
                {
                    "generate_images": generate_images_parameters,
                    "generate_baselines": generate_baselines_parameters,
                    "measure_images": measure_images_parameters,
                    "evaluate_bias": evaluate_bias_parameters,
                    "report": report_parameters,
                },
                policy,
                Measured(prompts=prompts.outputs["prompts"], **earlier),
                placement,
                shards,
            )

    return audit_only
