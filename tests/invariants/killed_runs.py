"""Run the finetuning step several times, each in a process of its own, some killed on the way.

A process is forked after the imports, which take longer than the runs. To be killed it sends
itself SIGKILL, as ``kill -9`` does, at a named point: nothing of it runs from then on, neither a
``finally`` nor a flush. Called with a JSON list of ``{"arguments": [...], "folder": ...,
"kill": [point, n]}``, ``kill`` null to let it live; prints a JSON list of each one's exit status
(-9: killed) and of the names then found in the folder.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

import onnx  # noqa: F401  (before the fork: the detector needs it)
from insightface import model_zoo  # noqa: F401

from components.finetune.main import main
from fairness_core.training import checkpoint, loop, step

# Name: module, function, and whether the process dies after the function or before it.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "in an iteration": (step, "accumulate_gradient", True),
    "after a checkpoint": (loop, "save_checkpoint", True),
    "in a checkpoint": (checkpoint, "write_manifest", False),
}


def arm(point: str, nth: int) -> None:
    """Let the process die at the nth passing of the point."""
    module, name, after = POINTS[point]
    original, passed = getattr(module, name), 0

    def deadly(*args: Any, **options: Any) -> Any:
        nonlocal passed
        passed += 1
        if passed == nth and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **options)
        if passed == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(module, name, deadly)


def in_child(entry: dict[str, Any]) -> int:
    """Exit status of one run; minus the signal's number if it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            if entry["kill"]:
                arm(*entry["kill"])
            status = main(entry["arguments"])
        except BaseException:  # noqa: BLE001  (a child is never to go on as the parent)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    ends = []
    for entry in json.loads(sys.argv[1]):
        status, folder = in_child(entry), Path(entry["folder"])
        ends.append((status, sorted(path.name for path in folder.glob("*"))))
    sys.stdout.write(json.dumps(ends))
