"""Pipeline task: the exit handler."""

from kfp.dsl import PipelineTaskFinalStatus

from components.contract import component

READS: tuple[str, ...] = ()


@component
def finish(status: PipelineTaskFinalStatus) -> None:
    """Report how the pipeline ended, end its MLflow run, remove old checkpoints."""
    import os
    import sys

    from components.finish.main import main
    from components.task import CHECKPOINTS

    words = ["--state", status.state, "--error", status.error_message or ""]
    # An object store forgets old ones by a rule of its own.
    lasting = os.environ.get(CHECKPOINTS, "")
    if lasting and "://" not in lasting:
        words += ["--checkpoints", lasting]
    code = main(words)
    if code:
        sys.exit(code)
