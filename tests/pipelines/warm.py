"""Processes for kfp's runner that need no imports: forks of one process that has done them.

Imports are nearly all of a task's seconds, and a run has eighteen tasks. What a task sees is what a
process of its own sees: arguments, environment, folder, streams, status.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager

# Of the libraries and the core; what is imported later is imported in the fork.
PRELOADED = (
    "kfp.dsl.executor",
    "kfp.dsl.kfp_config",
    "diffusers",
    "transformers",
    "fairness_core.baselines",
    "fairness_core.diffusion",
    "fairness_core.evaluation",
    "fairness_core.export",
    "fairness_core.portraits.models",
    "fairness_core.prompts",
    "fairness_core.reporting",
    "fairness_core.training",
)
LENGTH = 8

# Stands where the runner starts this Python: asks for a fork with these words and streams.
CLIENT = f"""#!{sys.executable} -IS
import json, os, socket, sys
place = socket.socket(socket.AF_UNIX)
place.connect(ADDRESS)
said = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
socket.send_fds(place, [len(said).to_bytes({LENGTH}, "big")], [0, 1, 2])
place.sendall(said)
status = place.recv(1)
sys.exit(status[0] if status else 70)
"""


@contextmanager
def warm_python(folder, path):
    """A program in the folder that starts Python programs as ``python -m MODULE ...`` does.

    Args:
        folder: Empty.
        path: PYTHONPATH of the programs.
    """
    address = str(folder / "socket")
    program = folder / "python3"
    program.write_text(CLIENT.replace("ADDRESS", repr(address)))
    program.chmod(0o755)
    keeper = subprocess.Popen(
        [sys.executable, __file__, address],
        env=os.environ | {"PYTHONPATH": str(path)},
        stdout=subprocess.PIPE,
    )
    try:
        assert keeper.stdout.readline() == b"ready\n"
        yield program
    finally:
        keeper.terminate()
        keeper.wait()
        keeper.stdout.close()


def keep(address):
    """Import, then fork for everybody who asks, until terminated."""
    import gc
    import importlib
    import signal

    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    forks = set()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            asked, _ = door.accept()
            header, streams, _, _ = socket.recv_fds(asked, LENGTH, 3)
            fork = os.fork()
            if fork == 0:
                door.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                return asked, int.from_bytes(header, "big"), streams
            asked.close()
            # Waited for, so that their seconds of CPU are counted as this process's children's.
            forks = {one for one in (*forks, fork) if os.waitpid(one, os.WNOHANG)[0] == 0}
            for stream in streams:
                os.close(stream)


def attend(asked, length, streams):
    """In a fork: run the program in a fork of its own and tell how it ended."""
    import runpy

    said = b""
    while len(said) < length:
        said += asked.recv(length - len(said))
    words, environment, folder = json.loads(said)
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        asked.sendall(bytes([status if status >= 0 else 128 - status]))
        os._exit(0)
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    flag, module, *rest = words
    assert flag == "-m"
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    attend(*keep(sys.argv[1]))
