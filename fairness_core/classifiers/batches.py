"""Batches of crops, in memory or decoded on the way, the next one read while one is in use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["Crops", "chunks_of", "in_order"]


@runtime_checkable
class Crops(Protocol):
    """Square crops in [-1, 1], taken by row: a tensor, or something that decodes them."""

    def __len__(self) -> int:
        """Number of crops."""
        ...

    def __getitem__(self, rows: Int[Tensor, " b"], /) -> Float[Tensor, "b 3 s s"]:
        """The crops of these rows; the same each time."""
        ...


def chunks_of(crops: Crops, chunks: Iterable[Int[Tensor, " b"]]) -> Iterator[Float[Tensor, "..."]]:
    """Yield the crops of each chunk of rows; of crops that are decoded at most two chunks exist.

    Args:
        crops: A tensor is read where it is needed; others by a thread, one chunk ahead.
        chunks: Rows, on any device.
    """
    if isinstance(crops, Tensor):
        for rows in chunks:
            yield crops[rows.to(crops.device)]
        return
    with ThreadPoolExecutor(1) as pool:
        coming = None
        for rows in chunks:
            following = pool.submit(crops.__getitem__, rows.cpu())
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()


def in_order(crops: Crops, batch_size: int) -> Iterator[Float[Tensor, "..."]]:
    """Yield all crops in batches, from the first row to the last."""
    yield from chunks_of(crops, torch.arange(len(crops)).split(batch_size))
