"""Several processes' worlds in one process: a thread for each, real exchange between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from fairness_core.runtime.distributed import World

Result = TypeVar("Result")


class Meeting:
    """Where the threads hand each other their values, all at the same call."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.places: list[Any] = [None] * size
        self.all_here = threading.Barrier(size, timeout=60)

    def exchange(self, rank: int, value: Any) -> list[Any]:
        self.places[rank] = value
        self.all_here.wait()
        values = list(self.places)
        self.all_here.wait()
        return values


class ThreadWorld(World):
    """One of several worlds; collectives as the contract says, by plain means."""

    def __init__(self, rank: int, meeting: Meeting) -> None:
        super().__init__("cpu")
        self.rank, self.size, self._meeting = rank, meeting.size, meeting

    def gather_rows(self, tensor: Tensor) -> Tensor:
        return torch.cat(self._meeting.exchange(self.rank, tensor.detach().clone()))

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        own = list(tensors)
        everyone = self._meeting.exchange(self.rank, [t.detach().clone() for t in own])
        for tensor, parts in zip(own, zip(*everyone, strict=True), strict=True):
            tensor.copy_(torch.stack(parts).sum(dim=0))

    def barrier(self) -> None:
        self._meeting.exchange(self.rank, None)


def in_threads(size: int, work: Callable[[World], Result]) -> list[Result]:
    """What ``work`` returns in each of ``size`` worlds, in rank order."""
    meeting = Meeting(size)
    with ThreadPoolExecutor(size) as pool:
        futures = [pool.submit(work, ThreadWorld(rank, meeting)) for rank in range(size)]
        return [future.result() for future in futures]
