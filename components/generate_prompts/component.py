"""Pipeline task: prompts and the plan of images."""

from kfp.dsl import Dataset, Output

from components.contract import STARTS, component

READS = (*STARTS, "attributes", "generate_prompts", "targets.overrides")


@component
def generate_prompts(parameters: str, prompts: Output[Dataset]) -> None:
    """Write the prompt catalog and how many images each prompt gets."""
    from components.generate_prompts.main import main
    from components.task import run_step

    run_step(main, parameters, out=prompts.path)
