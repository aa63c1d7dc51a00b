"""What the benchmarks share: time, memory, the machine, and files of results.

Times are of this process's own CPU (what other work on the machine takes is not in them) and of
the wall clock; what is compared is run in turns in one process. Clocks, counters and the machine's
name are those of the device that the work is on, which is not always the GPU that there is.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Read once, when the libraries are imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import diffusers
import torch
import transformers
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

RESULTS = Path("docs/performance")
MIB = 2**20
CPU = torch.device("cpu")
DEVICES = ("auto", "cpu", "cuda")


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def clock(device: torch.device) -> str:
    """The time by which work on the device is compared: of this process, or the wall clock's."""
    return "cpu_seconds" if device.type == "cpu" else "seconds"


def in_turns(
    work: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    device: torch.device = CPU,
    warm: bool = True,
) -> dict[str, dict[str, float]]:
    """Median CPU and wall seconds of each, one after another in every round.

    Args:
        work: What is timed, by name.
        rounds: How often.
        device: Where the work runs; it is waited for.
        warm: Run everything once before.
    """
    if warm:
        for run in work.values():
            run()
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, run in work.items():
            synchronize(device)
            cpu, wall = time.process_time(), time.perf_counter()
            run()
            synchronize(device)
            taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: {
            "cpu_seconds": statistics.median(cpu for cpu, _ in times),
            "seconds": statistics.median(wall for _, wall in times),
            "fastest_seconds": min(wall for _, wall in times),
        }
        for name, times in taken.items()
    }


def peak_bytes(run: Callable[[], object], device: torch.device = CPU) -> int:
    """Measure the most tensor memory in use at once during a call, above what was in use before.

    On the CPU, every allocation and release of torch's allocator is recorded and added up.

    Args:
        run: The call.
        device: Whose memory.
    """
    if device.type == "cuda":
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    events = sorted(
        (event.start_ns(), event.nbytes())
        for event in record.profiler.kineto_results.events()
        if event.name() == "[memory]" and event.device_type() == DeviceType.CPU
    )
    in_use = peak = 0
    for _, size in events:
        in_use += size
        peak = max(peak, in_use)
    return peak


def machine(device: torch.device = CPU) -> dict[str, Any]:
    """Device, versions, threads and load: what a figure is worth without is little."""
    processor = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor
    return {
        "device": name,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
    }


def save(name: str, result: Mapping[str, Any], device: torch.device = CPU) -> Path:
    """Write a benchmark's figures, the command that gives them, and the machine as JSON.

    Args:
        name: Of the file, which the figures name too: a file that is called otherwise was moved.
        result: JSON values.
        device: Where the work ran.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    command = shlex.join(["python", *sys.orig_argv[1:]])
    whole = {"name": name, "command": command, "machine": machine(device), **result}
    path.write_text(json.dumps(whole, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    say(f"wrote {path}")
    return path
