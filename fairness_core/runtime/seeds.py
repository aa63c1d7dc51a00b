"""Random streams by name: one generator for each stage, prompt and image.

A stream depends on its names alone, never on what was drawn before it, on the batch it is drawn
in or on the number of processes; so runs can be resumed, sharded and compared image by image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.errors import ConfigError

__all__ = ["generator", "image_noise", "noise", "seed_for"]


def seed_for(*names: str | int) -> int:
    """Seed in [0, 2**63): BLAKE2b of the names, each with its kind and length before it.

    ``("a", "bc")``, ``("ab", "c")`` and ``("abc",)`` differ, as do ``"1"`` and ``1``.

    Raises:
        ConfigError: No name, or one that is neither text nor a whole number.
    """
    if not names:
        raise ConfigError("A seed needs at least one name")
    digest = hashlib.blake2b(digest_size=8)
    for name in names:
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise ConfigError(
                "A seed's names are text or whole numbers",
                given=f"{name!r} ({type(name).__name__})",
            )
        part = str(name).encode()
        kind = b"s" if isinstance(name, str) else b"i"
        digest.update(kind + len(part).to_bytes(8, "big") + part)
    return int.from_bytes(digest.digest(), "big") >> 1


def generator(*names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Fresh generator seeded with ``seed_for(*names)``."""
    return torch.Generator(device=device).manual_seed(seed_for(*names))


def noise(shape: tuple[int, ...], *names: str | int) -> Float[Tensor, "*shape"]:
    """Unit normal draw, float32, made on the CPU so that every device gets the same numbers."""
    return torch.randn(shape, generator=generator(*names), dtype=torch.float32)


def image_noise(
    stage: str,
    prompts: Sequence[str],
    indices: Sequence[int],
    shape: tuple[int, ...],
    *,
    seed: int = 0,
) -> Float[Tensor, "n ..."]:
    """Unit normal noise of several images, one stream for each (seed, stage, prompt, index).

    Args:
        stage: What the images are for, such as ``finetune``.
        prompts: Prompt (or its id) of each image.
        indices: Number of each image among those of its prompt.
        shape: One image's shape.
        seed: The run's seed.

    Returns:
        Float32 on the CPU, ``(n, *shape)``; row i depends on its own names only.

    Raises:
        ConfigError: Different numbers of prompts and indices.
    """
    if len(prompts) != len(indices):
        raise ConfigError(
            "Each image needs a prompt and an index",
            given=f"{len(prompts)} prompts, {len(indices)} indices",
        )
    rows = [
        noise(shape, seed, stage, prompt, int(index))
        for prompt, index in zip(prompts, indices, strict=True)
    ]
    return torch.stack(rows) if rows else torch.empty((0, *shape))
