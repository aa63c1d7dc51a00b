"""Where MLflow keeps a run's files where its store is a database of another folder."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["files_beside"]

SQLITE = "sqlite:///"


def files_beside(uri: str, experiment: str) -> str | None:
    """The folder of an experiment's files: beside the database.

    MLflow's own choice is ``mlruns`` of the working directory, which for a step of a DVC experiment
    goes when the step's workspace goes.

    Args:
        uri: Address of the store.
        experiment: Name of the experiment.

    Returns:
        The folder; None where MLflow's choice is the same, or where the store is a server.
    """
    if not uri.startswith(SQLITE):
        return None
    beside = Path(uri.removeprefix(SQLITE)).resolve().parent
    if beside == Path.cwd().resolve():
        return None
    return str(beside / "mlruns" / re.sub(r"[^\w.-]", "_", experiment))
