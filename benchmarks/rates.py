"""What a device could do beside what it does: products counted, matmul peaks, largest costs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from benchmarks.measure import say, synchronize

SIDES = {"cuda": 8192, "cpu": 512}  # of the matrices multiplied
ROUNDS, WARM = 10, 3


class Products(TorchDispatchMode):
    """Operations of products and convolutions inside, two a multiplication, by their type.

    Counted by torch's own formulas; what else there is, such as norms and softmax, is left out, as
    is attention where torch has no formula for its kernel (on the CPU).
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: dict[torch.dtype, float] = defaultdict(float)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and count it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(getattr(func, "_overloadpacket", None))
        if count is not None:
            kind = next(leaf.dtype for leaf in tree_leaves(args) if isinstance(leaf, Tensor))
            self.operations[kind] += count(*args, **kwargs, out_val=out)
        return out


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large square product, the fastest of some."""
    side = SIDES[device.type]
    source = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(side, side, device=device, generator=source).to(dtype) for _ in range(2))
    fastest = float("inf")
    for i in range(WARM + ROUNDS):
        synchronize(device)
        began = time.perf_counter()
        a @ b
        synchronize(device)
        if i >= WARM:
            fastest = min(fastest, time.perf_counter() - began)
    return 2 * side**3 / fastest


def largest_costs(
    run: Callable[[], object], device: torch.device, count: int = 3
) -> list[dict[str, Any]]:
    """The operations on which the device spends most of its own time, and print a table of more.

    Args:
        run: The work.
        device: Whose time: of a GPU its kernels', by the operation that started them.
        count: How many.
    """
    gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if gpu else [])]
    with profile(activities=activities) as record:
        run()
        synchronize(device)
    column = "self_device_time_total" if gpu else "self_cpu_time_total"
    found = record.key_averages()
    say(found.table(sort_by=column, row_limit=12, max_name_column_width=40))
    # A kernel's time is in its operation's, and in a row of its own too.
    rows = [row for row in found if row.device_type == DeviceType.CPU]
    total = sum(getattr(row, column) for row in rows)
    rows.sort(key=lambda row: getattr(row, column), reverse=True)
    return [
        {
            "name": row.key,
            "seconds": getattr(row, column) / 1e6,
            "share": getattr(row, column) / total,
            "calls": row.count,
        }
        for row in rows[:count]
    ]


@contextmanager
def limited(device: torch.device, limit: float | None) -> Iterator[None]:
    """Within, torch may take no more of a GPU than a card of this many bytes would leave it."""
    if device.type != "cuda" or limit is None:
        yield
        return
    total = torch.cuda.get_device_properties(device).total_memory
    room = limit - beside_tensors(device)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / total), device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def beside_tensors(device: torch.device) -> int:
    """Bytes in use on a GPU beside torch's own: the driver, kernels, and whoever else is there."""
    free, total = torch.cuda.mem_get_info(device)
    return total - free - torch.cuda.memory_reserved(device)
