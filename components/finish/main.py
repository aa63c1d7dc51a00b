"""Say how a pipeline ended, end its MLflow run, and remove checkpoints that nobody went on from.

Those of a failed run stay, so that the same run submitted again goes on where it stopped, until
they are too old.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from fairness_core.errors import EvenhandError

STEP = "finish"
DAY = 86400.0
Ending = Literal["FINISHED", "FAILED", "KILLED"]
# Final states of kfp; whatever else it may report is a failure.
ENDINGS: dict[str, Ending] = {"SUCCEEDED": "FINISHED", "CANCELLED": "KILLED"}
LONGEST = 4000  # characters of an error that are passed on


def run(
    *, state: str, error: str, keep_days: float, checkpoints: Path | None, run_id: str | None
) -> None:
    """Report and clean up.

    Args:
        state: Final state that kfp reports, such as ``SUCCEEDED``.
        error: Message of what failed, or nothing.
        keep_days: Age in days from which a checkpoint is removed, >= 0.
        checkpoints: Folder with a folder for each finetuning; None: there is none.
        run_id: MLflow run of the pipeline; None: it has none.

    Raises:
        ConfigError: The MLflow run cannot be ended.
    """
    from fairness_core.runtime import configure, end_pipeline_run, get_logger

    configure(STEP)
    log = get_logger(STEP)
    if state == "SUCCEEDED":
        log.info("the pipeline succeeded")
    else:
        log.error("the pipeline ended as %s: %s", state, error or "no message was given")
    if checkpoints is not None:
        removed = _remove_old(checkpoints, before=time.time() - keep_days * DAY)
        log.info("removed %d folders of checkpoints from %s", removed, checkpoints)
    if run_id is not None:
        tags = {"evenhand.state": state}
        if error:
            tags["evenhand.error"] = error[:LONGEST]
        end_pipeline_run(run_id, ENDINGS.get(state, "FAILED"), tags)


def _remove_old(folder: Path, before: float) -> int:
    """Remove the folders inside in which nothing was written since; says how many."""
    removed = 0
    for inner in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not inner.is_dir():
            continue
        newest = max(path.lstat().st_mtime for path in [inner, *inner.rglob("*")])
        if newest < before:
            shutil.rmtree(inner)
            removed += 1
    return removed


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step from the command line."""
    parser = argparse.ArgumentParser(
        prog=f"python -m components.{STEP}.main", description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--state", required=True, help="final state of the pipeline")
    parser.add_argument("--error", default="", help="message of what failed")
    parser.add_argument("--keep-days", type=float, default=7.0, help="age of checkpoints kept")
    parser.add_argument("--checkpoints", type=Path, help="folder that is cleaned")
    args = parser.parse_args(argv)
    tracked = bool(os.environ.get("MLFLOW_TRACKING_URI"))
    try:
        run(
            state=args.state,
            error=args.error,
            keep_days=args.keep_days,
            checkpoints=args.checkpoints,
            run_id=os.environ.get("MLFLOW_RUN_ID") or None if tracked else None,
        )
    except EvenhandError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
