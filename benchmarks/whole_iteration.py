"""A whole iteration of finetuning, ours or the published one, and what it takes of a device."""

from __future__ import annotations

import dataclasses
import gc
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.measure import clock, in_turns, peak_bytes, say
from benchmarks.portraits import PROMPT
from benchmarks.rates import Products, beside_tensors, largest_costs, limited
from benchmarks.reference_step import counted, reference_step
from fairness_core.runtime import World
from fairness_core.runtime.seeds import generator
from fairness_core.training import Models, Settings, training_step
from fairness_core.training.state import TrainingState

__all__ = ["GIB", "Bench", "Case", "measured", "shares"]

GIB = 2**30


@dataclass(frozen=True)
class Case:
    """One way to take an iteration.

    Attributes:
        settings: Of the step.
        images: N.
        reference: The published step, all images in one call.
        stored: The originals come from a store.
        profiled: Whether its largest costs are told.
        limit: Bytes of the card it is to fit on; None: the device's own.
    """

    settings: Settings
    images: int
    reference: bool = False
    stored: bool = False
    profiled: bool = False
    limit: float | None = None

    def smaller(self) -> Case | None:
        """With half the images, of the published step; else half of them a call; None: no less."""
        if self.limit is not None:
            return None
        if self.reference:
            less = self.images // 2
            return dataclasses.replace(self, images=less) if less else None
        less = self.settings.batch_size // 2
        changed = dataclasses.replace(self.settings, batch_size=less)
        return dataclasses.replace(self, settings=changed) if less else None


@dataclass(frozen=True)
class Bench:
    """What all cases share.

    Attributes:
        models: With adapters.
        state: Of their training.
        world: One process.
        noise: Of the most images of a case, on the device.
        originals: Their latents by the frozen model, on the CPU as from a store.
        peaks: Operations a second of the device's products, by type.
        steps: S.
    """

    models: Models
    state: TrainingState
    world: World
    noise: Tensor
    originals: Tensor
    peaks: dict[torch.dtype, float]
    steps: int

    def iterate(self, case: Case) -> None:
        """One iteration: step, clipping, AdamW and the average.

        Raises:
            FloatingPointError: Loss or gradient is not finite.
        """
        self.state.clear_gradient()
        n = case.images
        common: dict[str, Any] = {"prompt": PROMPT, "noise": self.noise[:n], "steps": self.steps}
        common["targets_from"] = generator("targets", PROMPT)
        if case.reference:
            loss = reference_step(self.models, case.settings, **common)
        else:
            kept = self.originals[:n] if case.stored else None
            common |= {"steps_from": generator("steps"), "originals": kept}
            done = training_step(self.models, case.settings, self.world, **common)
            loss = done.losses["total"]
        figures = torch.tensor([loss, self.state.gradient_norm()])
        if not bool(figures.isfinite().all()):
            raise FloatingPointError(f"loss and gradient's norm are {figures.tolist()}")
        self.state.step()


def measured(bench: Bench, name: str, case: Case) -> dict[str, Any]:
    """A case's figures, smaller where it does not fit; a line says so."""
    tried: Case | None = case
    while tried is not None:
        # What an earlier case left in the allocator is not this one's.
        gc.collect()
        torch.cuda.empty_cache()
        try:
            return _figures(bench, name, tried)
        except torch.OutOfMemoryError:
            pass
        # Outside of the handler, whose error holds on to the step's tensors.
        bench.state.clear_gradient()
        a_call = tried.images if tried.reference else tried.settings.batch_size
        say(f"{name}: out of memory with {tried.images} images, {a_call} a call")
        tried = tried.smaller()
    return {"out_of_memory": True}


def _figures(bench: Bench, name: str, case: Case) -> dict[str, Any]:
    n, device = case.images, bench.world.device

    def run() -> None:
        bench.iterate(case)

    with limited(device, case.limit):
        # The first run is no timed one: kernels are loaded, and products counted one by one.
        with counted(bench.models) as calls, Products() as products:
            peak = peak_bytes(run, device)
        times = in_turns({name: run}, 1, device=device, warm=False)[name]
        row: dict[str, Any] = {
            "images": n,
            "images_per_call": n if case.reference else min(n, case.settings.batch_size),
            "forwards": calls.forwards / n,
            "backwards": calls.backwards / n,
            **times,
            "images_per_second": n / times["seconds"],
            "peak_gib": peak / GIB,
        }
        if device.type == "cuda":
            # Weights, what the allocator holds beside tensors, driver and kernels.
            taken = torch.cuda.max_memory_reserved(device) + beside_tensors(device)
            row["device_gib"] = taken / GIB
            if case.limit is not None:
                row["fits"] = taken <= case.limit
    row |= shares(products.operations, bench.peaks, times[clock(device)])
    if case.profiled:
        row["largest_costs"] = largest_costs(run, device)
    return row


def shares(
    operations: dict[torch.dtype, float], peaks: dict[torch.dtype, float], seconds: float
) -> dict[str, Any]:
    """Operations done, and the share reached of bfloat16's peak, and of each type's for its own."""
    total = sum(operations.values())
    least = sum(count / peaks[kind] for kind, count in operations.items())
    return {
        "tera_operations": {str(kind): count / 1e12 for kind, count in operations.items()},
        "tera_operations_per_second": total / seconds / 1e12,
        "share_of_bfloat16_peak": total / seconds / peaks[torch.bfloat16],
        "share_of_peaks": least / seconds,
    }
