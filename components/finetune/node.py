"""One node of a training: torchrun, ended when nobody follows the training any more.

    python -m components.finetune.node ALIVE OPTIONS...

The step that made the TrainJob touches the file ALIVE. If its pod vanishes so fast that it cannot
remove the TrainJob, the file stops changing, and the node gives its GPUs back.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

STEP = "components.finetune.main"
SILENCE = 900.0  # seconds; longer than a node's clock is off or an API server away
EVERY = 15.0
GRACE = 30.0
ABANDONED = 4  # exit status


def main(
    argv: Sequence[str] | None = None,
    *,
    command: Sequence[str] = (sys.executable, "-m", "torch.distributed.run", "-m", STEP),
    silence: float = SILENCE,
    every: float = EVERY,
) -> int:
    """Run torchrun, which finds nodes, processes and their meeting point in ``PET_`` variables.

    Args:
        argv: The file, then the step's options.
        command: What is run with these options.
        silence: Seconds without a change of the file after which it is ended.
        every: Seconds between looks.

    Returns:
        Exit status of the command, or 4 where it was ended.
    """
    words = sys.argv[1:] if argv is None else argv
    alive, seen, changed = Path(words[0]), 0, time.monotonic()
    child = subprocess.Popen([*command, *words[1:]])
    try:
        while True:
            try:
                return child.wait(timeout=every)
            except subprocess.TimeoutExpired:
                stamp = alive.stat().st_mtime_ns if alive.exists() else 0
                if stamp != seen:
                    seen, changed = stamp, time.monotonic()
                elif time.monotonic() - changed > silence:
                    sys.stderr.write("error: Nobody follows this training any more: it is ended.\n")
                    return ABANDONED
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=GRACE)
            except subprocess.TimeoutExpired:
                child.kill()


if __name__ == "__main__":
    sys.exit(main())
