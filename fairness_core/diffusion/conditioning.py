"""What a network is told about the prompts: one or two tensors, a row for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["Conditioning"]


@dataclass(frozen=True)
class Conditioning:
    """Prompts as text encoders give them to the network; each tensor may carry a gradient back.

    What else a network is told (image size, positions) is the same for every prompt, has no
    gradient and is added by the family when it calls the network.

    Attributes:
        states: One vector a token, of one text encoder or of several side by side.
        pooled: One vector a prompt; None for networks that take none.
    """

    states: Float[Tensor, "n t d"]
    pooled: Float[Tensor, "n p"] | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.states)

    def __getitem__(self, rows: slice | Sequence[int]) -> Conditioning:
        """Choose rows, by a slice or by their numbers."""
        return self.map(lambda tensor: tensor[rows])

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that there are, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    @property
    def requires_grad(self) -> bool:
        """Whether any tensor wants a gradient."""
        return any(tensor.requires_grad for tensor in self.tensors.values())

    def map(self, change: Callable[[Tensor], Tensor]) -> Conditioning:
        """Change every tensor."""
        return Conditioning(**{name: change(tensor) for name, tensor in self.tensors.items()})

    def detach(self) -> Conditioning:
        """The same values without a graph."""
        return self.map(Tensor.detach)

    def expand(self, n: int) -> Conditioning:
        """One row seen n times, without copies."""
        return self.map(lambda tensor: tensor.expand(n, *tensor.shape[1:]))

    def leaf(self, n: int = 1, *, trains: bool = True) -> Conditioning:
        """Copy each row n times, outside any graph, to collect gradients in.

        Args:
            n: Copies of each row, all rows after one another n times.
            trains: Whether the copies want a gradient where the originals do.
        """
        return self.map(
            lambda tensor: (
                tensor.detach()
                .repeat(n, *[1] * (tensor.dim() - 1))
                .requires_grad_(trains and tensor.requires_grad)
            )
        )

    def backward(self, leaves: Sequence[Conditioning]) -> None:
        """Pass the gradients that leaves collected on to the text encoders, in one backward.

        Args:
            leaves: The k-th holds copies of row k; one without a gradient counts as zero.
        """
        wanting = {name: own for name, own in self.tensors.items() if own.requires_grad}
        gradients = []
        for name, own in wanting.items():
            gradient = torch.zeros_like(own)
            for row, leaf in enumerate(leaves):
                collected = leaf.tensors[name].grad
                if collected is not None:
                    gradient[row] = collected.sum(dim=0)
            gradients.append(gradient)
        if wanting:
            torch.autograd.backward(list(wanting.values()), gradients)

    @classmethod
    def cat(cls, parts: Sequence[Conditioning]) -> Conditioning:
        """Put the rows of several of one family after one another."""
        names = parts[0].tensors
        return cls(**{name: torch.cat([part.tensors[name] for part in parts]) for name in names})
