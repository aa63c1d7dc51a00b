"""Where the work runs: device, CPU threads, precision."""

from __future__ import annotations

import os
from typing import Any

import torch

from fairness_core.errors import ConfigError

__all__ = ["as_dtype", "hardware", "prepare"]

DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def prepare(device: str = "auto", threads: int | None = None) -> torch.device:
    """Device to use, with torch's CPU threads set explicitly.

    On a CPU equal inputs give equal bits, run after run with as many threads; on a GPU they need
    not, see below, and a resumed run may there differ from one that was never stopped.

    Left to itself torch takes one thread per core in every process; on a busy machine, and with
    several processes on one machine, their spinning costs more than it brings.

    Args:
        device: ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``. With several processes
            (torchrun) ``cuda`` is the GPU of this process's ``LOCAL_RANK``.
        threads: CPU threads, >= 1; None: ``OMP_NUM_THREADS`` if set, otherwise the cores that
            this process may use.

    Raises:
        ConfigError: Unknown device, no GPU although one was asked for, or fewer than one thread.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise ConfigError("Unknown device", given=device, do="choose auto, cpu or cuda")
    if threads is None:
        asked = os.environ.get("OMP_NUM_THREADS", "")
        threads = int(asked) if asked.isdecimal() else len(os.sched_getaffinity(0))
    if threads < 1:
        raise ConfigError("At least one CPU thread is needed", given=threads)
    torch.set_num_threads(threads)
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "A GPU was asked for and torch finds none",
            given=device,
            do="set run.device to auto or cpu, or install a CUDA build of torch",
        )
    # cuDNN would choose kernels by timing them, another one in another run. Not more than that is
    # settled: torch.use_deterministic_algorithms stays off, so that other CUDA kernels (sums by
    # atomic additions, as in backward passes of resizing and indexing) may still differ in bits.
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def hardware(device: torch.device) -> dict[str, Any]:
    """What of the machine is known to decide how sums are split and rounded; JSON values."""
    if device.type == "cuda":
        return {
            "device": device.type,
            "gpu": torch.cuda.get_device_name(device),
            "capability": list(torch.cuda.get_device_capability(device)),
        }
    return {
        "device": device.type,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }


def as_dtype(name: str) -> torch.dtype:
    """Floating-point type of that name: float32, float16 or bfloat16.

    Raises:
        ConfigError: Another name.
    """
    if name not in DTYPES:
        raise ConfigError("Unknown precision", given=name, do=f"choose {', '.join(DTYPES)}")
    return DTYPES[name]
