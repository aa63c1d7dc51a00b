"""Pipeline task: the bank of real faces."""

from kfp.dsl import Dataset, Output

from components.contract import STARTS, component

READS = (
    *STARTS,
    "models",
    "attributes",
    "build_bank",
    "calibrate_classifier.fairface_padding",
    "calibrate_classifier.merges",
    "calibrate_classifier.old_from",
)


@component
def build_bank(parameters: str, bank: Output[Dataset]) -> None:
    """Embed labelled faces that nobody generated, for the face realism loss."""
    from components.build_bank.main import main
    from components.task import run_step

    run_step(main, parameters, out=bank.path)
