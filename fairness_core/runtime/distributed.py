"""Several processes that share the work of one; with one process everything is the identity.

Start them with ``torchrun --nproc_per_node N``. (``accelerate launch --cpu --num_processes N``
starts one process, whatever N is, and says nothing.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from fairness_core.errors import ConfigError
from fairness_core.runtime.logs import get_logger

__all__ = ["World"]


class World:
    """The processes of a run and what they exchange.

    Args:
        device: Where this process computes, as ``prepare`` gives it.

    Raises:
        ConfigError: ``WORLD_SIZE`` asks for several processes and they did not form a group.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.rank, self.size = 0, int(os.environ.get("WORLD_SIZE", "1"))
        self._accelerator: Any = None
        if self.size == 1:
            return
        from accelerate import Accelerator

        self._accelerator = Accelerator(cpu=self.device.type == "cpu")
        if self._accelerator.num_processes != self.size:
            raise ConfigError(
                f"{self.size} processes were asked for and {self._accelerator.num_processes} met",
                do="start them with torchrun --nproc_per_node N",
            )
        self.rank = int(self._accelerator.process_index)
        self.device = self._accelerator.device
        get_logger("distributed").info(f"{self.size} processes share the work")

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def shard(self, n: int) -> range:
        """This process's part of ``range(n)``: contiguous; parts differ by at most one."""
        return range(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def gather_rows(self, tensor: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
        """The rows of all processes, in rank order; their numbers may differ. No gradient.

        Args:
            tensor: This process's rows; dtype and all axes but the first as everywhere.

        Returns:
            The same rows in every process.
        """
        if self._accelerator is None:
            return tensor.detach()
        own = torch.tensor([len(tensor)], device=self.device)
        counts = self._accelerator.gather(own).tolist()
        most = max(counts)
        if most == 0:
            return tensor.detach()
        padded = tensor.new_zeros((most, *tensor.shape[1:]), device=self.device)
        padded[: len(tensor)] = tensor.detach()
        # Bytes, because not every backend gathers every type.
        as_bytes = padded.contiguous().view(most, -1).view(torch.uint8)
        rows = self._accelerator.gather(as_bytes).view(tensor.dtype)
        rows = rows.view(self.size, most, *tensor.shape[1:])
        return torch.cat([part[:count] for part, count in zip(rows, counts, strict=True)])

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in place.

        Every process passes tensors of the same shapes, types and order.
        """
        if self._accelerator is None:
            return
        groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
        for tensor in tensors:
            groups.setdefault((tensor.dtype, tensor.device), []).append(tensor.detach())
        for members in groups.values():
            total = torch.cat([member.reshape(-1) for member in members])
            torch.distributed.all_reduce(total)
            start = 0
            for member in members:
                member.copy_(total[start : start + member.numel()].view_as(member))
                start += member.numel()

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def close(self) -> None:
        """Leave the group, at the end of the program."""
        if self._accelerator is not None:
            self._accelerator.end_training()
            self._accelerator = None
