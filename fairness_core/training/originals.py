"""The frozen model's latents of the training noise: sampled once, read by every run that has them.

A stored batch is what sampling it again would give: model, sampler, code, libraries, noise, sizes
and what is known of the machine are in its name. On a CPU of one kind that holds bit for bit, so
that nothing but time depends on what the store holds. On a GPU it need not: no deterministic
algorithms are asked for (see ``runtime.prepare``), and drivers and libraries below torch are not in
the name; another sampling may round otherwise, as it may without a store.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fairness_core.diffusion import DiffusionStack, disabled, encode_prompts, sample
from fairness_core.runtime.files import atomic_file, write_json
from fairness_core.runtime.logs import get_logger
from fairness_core.training.plan import Batch

__all__ = ["Originals", "original_latents"]

LATENTS = "latents"
SHOWN = 16  # hexadecimal digits in names: of few models, and of many batches twice as many


@torch.no_grad()
def original_latents(
    stack: DiffusionStack,
    prompt: str,
    noise: Float[Tensor, "n c h w"],
    *,
    steps: int,
    guidance: float,
    batch_size: int | None = None,
) -> Float[Tensor, "n c h w"]:
    """z_0 of the frozen model, of the prompt from this noise; the adapters take no part."""
    with disabled(stack):
        states = encode_prompts(stack, [prompt, ""])
        trajectory = sample(
            stack,
            noise,
            states[:1].expand(len(noise)),
            states[1:],
            guidance=guidance,
            steps=steps,
            batch_size=batch_size,
        )
    return trajectory.final


@dataclass(frozen=True)
class Originals:
    """A folder of latents, a file a batch, that many runs and processes may use at once.

    Attributes:
        folder: Made when something is first stored.
        model: What decides the latents beside the batch and is the same for all of them: the
            files of the model, its sampler, the code, the libraries, the hardware. JSON values.
        guidance: g, at least 1.
        batch_size: Images per network call.
    """

    folder: Path
    model: Mapping[str, Any]
    guidance: float
    batch_size: int

    def latents(self, stack: DiffusionStack, batch: Batch) -> Float[Tensor, "n c h w"]:
        """The batch's latents, sampled and stored if they are not there yet.

        Args:
            stack: The model of ``self.model``; its adapters take no part.
            batch: Which images.

        Returns:
            z_0, in the noise's type, on the CPU where they were stored.
        """
        path = self.path(stack, batch)
        found = _read(path, (len(batch.rows), *stack.latent_shape))
        if found is not None:
            return found
        made = original_latents(
            stack,
            batch.prompt,
            batch.noise(stack.latent_shape).to(stack.device),
            steps=batch.steps,
            guidance=self.guidance,
            batch_size=self.batch_size,
        )
        self._write(path, batch, made)
        return made

    def has(self, stack: DiffusionStack, batch: Batch) -> bool:
        """Whether the batch is stored and whole."""
        path = self.path(stack, batch)
        return _read(path, (len(batch.rows), *stack.latent_shape)) is not None

    def path(self, stack: DiffusionStack, batch: Batch) -> Path:
        """The batch's file, there or not."""
        told = {
            **batch.names,
            "guidance": self.guidance,
            "batch_size": self.batch_size,
            "shape": list(stack.latent_shape),
            "dtype": str(stack.dtype),
        }
        name = _digest(told)[: 2 * SHOWN]
        return self.folder / _digest(self.model)[:SHOWN] / name[:2] / f"{name}.safetensors"

    def _write(self, path: Path, batch: Batch, latents: Tensor) -> None:
        about = path.parent.parent / "model.json"
        if not about.is_file():
            write_json(dict(self.model), about)
        kept = latents.detach().cpu().contiguous()
        described = {"batch": json.dumps(batch.names, sort_keys=True), "sha256": _sha256(kept)}
        with atomic_file(path) as file:
            save_file({LATENTS: kept}, file, metadata=described)


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _sha256(latents: Tensor) -> str:
    return hashlib.sha256(latents.view(torch.uint8).numpy().tobytes()).hexdigest()


def _read(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """The latents of a file; None if it is missing, or damaged, which a warning says."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            latents: Tensor = file.get_tensor(LATENTS)
            expected = (file.metadata() or {}).get("sha256")
    except (SafetensorError, OSError) as error:
        get_logger("originals").warning("Sampling a damaged batch again: %s (%s)", path, error)
        return None
    if tuple(latents.shape) != shape or _sha256(latents) != expected:
        get_logger("originals").warning("Sampling a damaged batch again: %s", path)
        return None
    return latents
