"""``evenhand plan``: what fits on a GPU, and what a finetuning will take, before it runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairness_core.errors import ConfigError

if TYPE_CHECKING:
    from fairness_core.config import Finetune, Params
    from fairness_core.training.dry_run import Cost

__all__ = ["Assumptions", "Plan", "calls_per_image", "kept_bytes", "plan", "register"]

GIB = 2**30
# What the driver, kernels and a fragmented allocator take beside tensors.
RESERVED, USABLE = 1.0 * GIB, 0.92
FEW_STEPS = 5  # K that is suggested where every step is to have a gradient


@dataclass(frozen=True)
class Assumptions:
    """What nobody can read off the parameters; all are options and all are printed.

    Attributes:
        tflops: Dense products that the GPU does, 10^12 operations a second.
        utilisation: Share of it that is reached.
        price: Per GPU hour.
        watts: Drawn by GPU and its share of the machine.
        carbon: kg CO2e per kWh.
    """

    tflops: float = 120.0
    utilisation: float = 0.3
    price: float = 1.0
    watts: float = 450.0
    carbon: float = 0.4


@dataclass(frozen=True)
class Plan:
    """What was chosen, and what it takes.

    Attributes:
        micro_batch: Images per network call: ``finetune.batch_size``.
        checkpointing: Whether blocks are recomputed.
        gradient_steps: K.
        gib: Peak, weights and reserve included.
        calls: Forward and backward calls per image and iteration.
        hours: Of the whole training.
    """

    micro_batch: int
    checkpointing: bool
    gradient_steps: int
    gib: float
    calls: tuple[int, int]
    hours: float


def plan(
    section: Finetune,
    cost: Callable[[int, bool], Cost],
    memory: float,
    assumptions: Assumptions,
    *,
    kept: float = 0.0,
) -> Plan:
    """The largest micro-batch that fits, recomputing only if nothing fits without.

    Args:
        section: Of the parameters.
        cost: Of a micro-batch, recomputed or not; its peak is affine in the images.
        memory: Of the GPU, bytes.
        assumptions: For the hours.
        kept: Bytes that stay through an iteration beside weights, such as images and AdamW's.

    Raises:
        ConfigError: One image does not fit even so.
    """
    room = USABLE * memory - RESERVED - kept
    least = 0.0
    for checkpointing in (False, True):
        one, two = cost(1, checkpointing), cost(2, checkpointing)
        slope = max(two.peak - one.peak, 1)
        least = one.weights + one.peak
        fits = int((room - one.weights - one.peak) // slope) + 1
        if fits < 1:
            continue
        micro = min(fits, section.images_per_prompt)
        steps = sum(section.steps) / 2
        chosen = section.gradient_steps or min(FEW_STEPS, section.steps[0])
        flops = (
            _passes(section) * steps * one.sampling
            + chosen * one.gradient
            + 2 * one.decoding
            + one.loss
        )
        seconds = section.iterations * section.images_per_prompt * flops
        seconds /= assumptions.tflops * 1e12 * assumptions.utilisation
        calls = calls_per_image(section, chosen)
        bytes_ = one.weights + one.peak + (micro - 1) * slope + kept + RESERVED
        return Plan(micro, checkpointing, chosen, bytes_ / GIB, calls, seconds / 3600)
    raise ConfigError(
        "Not even one image at a time fits",
        given=f"{memory / GIB:.0f} GiB; {(least + kept + RESERVED) / GIB:.1f} GiB are needed",
        do="use a larger GPU, a smaller model or finetune.precision=bfloat16",
    )


def calls_per_image(section: Finetune, chosen: float) -> tuple[int, int]:
    """Forward and backward calls of the network, an image and iteration; stored originals are free.

    Args:
        section: Of the parameters.
        chosen: K, sampling steps that get a gradient.
    """
    both = 2 if section.guidance != 1 else 1
    branches = 1 if section.guided_gradient == "text" or section.soft_tokens else both
    backwards = round(chosen * branches)
    return round(_passes(section) * both * sum(section.steps) / 2) + backwards, backwards


def _passes(section: Finetune) -> int:
    """Samplings of an image in an iteration."""
    return 1 if section.originals == "stored" else 2


def _gigabytes(text: str) -> float:
    """GiB, however it is written: the GB of a GPU's name are GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:G(?:i?B)?)?", text.strip(), re.IGNORECASE)
    if not found:
        raise ConfigError("A GPU's memory is a number of GiB", given=text, do="write 24 or 24GB")
    return float(found[1]) * GIB


def show(
    gpu: Annotated[str, typer.Option(help="Memory of the GPU in GiB, such as 24 or 24GB.")],
    preset: Annotated[str, typer.Option(help="Name in presets/ [default: none].")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE; may repeat.")
    ] = None,
    tflops: Annotated[float, typer.Option(help="Dense TFLOP/s at the precision.")] = 120.0,
    utilisation: Annotated[float, typer.Option(help="Share of them reached.")] = 0.3,
    price: Annotated[float, typer.Option(help="Per GPU hour.")] = 1.0,
    watts: Annotated[float, typer.Option(help="GPU with its share of the machine.")] = 450.0,
    carbon: Annotated[float, typer.Option(help="kg CO2e per kWh.")] = 0.4,
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("params.yaml"),
    folder: Annotated[Path, typer.Option(help="Folder of presets.")] = Path("presets"),
) -> None:
    """Say what fits on a GPU, and hours, money and CO2e of a finetuning."""
    from components.shapes import costs, missing
    from components.step import prepare_libraries
    from fairness_core.config import find_preset, load, load_preset

    words = list(set_ or [])
    found = load_preset(params, find_preset(folder, preset), words) if preset else None
    loaded = found or load(params, words)
    prepare_libraries(loaded)
    section = loaded.finetune
    told = Assumptions(tflops, utilisation, price, watts, carbon)
    kept = kept_bytes(loaded, section.steps[1])
    chosen = plan(section, costs(loaded), _gigabytes(gpu), told, kept=kept)
    for line in _lines(chosen, gpu, section, told):
        typer.echo(line)
    for name in missing(loaded):
        typer.echo(f"Assumed: {name} has the published model's shapes, its folder is not there")


def kept_bytes(params: Params, steps: int) -> float:
    """Bytes through an iteration: of each image its latents at each step, itself, its original."""
    from components.shapes import PUBLISHED, configuration

    found = configuration(params.section("models"), "unet") or PUBLISHED["unet"]
    side = found["sample_size"]
    image = 4.0 * ((steps + 2) * 4 * side**2 + 2 * 3 * (8 * side) ** 2)
    return params.finetune.images_per_prompt * image


def _lines(chosen: Plan, gpu: str, section: Finetune, told: Assumptions) -> list[str]:
    recomputed = "finetune.checkpointing=true" if chosen.checkpointing else "not needed"
    lines = [
        f"Fits: finetune.batch_size={chosen.micro_batch}, peak {chosen.gib:.1f} GiB of {gpu}",
        f"Checkpointing: {recomputed}",
        f"Per image and iteration: {chosen.calls[0]} forward and {chosen.calls[1]} backward calls",
    ]
    if section.gradient_steps is None:
        lines.append(
            f"Counted with finetune.gradient_steps={chosen.gradient_steps} of the sampling steps; "
            "the parameters ask for all"
        )
    energy, price = chosen.hours * told.watts / 1000, chosen.hours * told.price
    return [
        *lines,
        f"Takes: {chosen.hours:.1f} GPU hours, {price:.2f} at {told.price:g} an hour, "
        f"{energy:.1f} kWh, {energy * told.carbon:.1f} kg CO2e",
        f"Assumed: {told.tflops:g} TFLOP/s of which {told.utilisation:.0%} are reached, "
        f"{told.watts:g} W, {told.carbon:g} kg CO2e per kWh; without face detection, "
        "validations and waiting",
    ]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("plan")(show)
