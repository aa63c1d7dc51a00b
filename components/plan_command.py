"""``evenhand plan`` and ``plan-audit``: what fits, what it will take, how many images it needs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.planning import GIB, Need, text
from components.pricing import CARD, PEAK, Assumptions, Choice
from fairness_core.errors import ConfigError
from fairness_core.groups import group_name

if TYPE_CHECKING:
    from fairness_core.config import Params
    from fairness_core.training.dry_run import Cost

__all__ = ["gigabytes", "register"]


def gigabytes(words: str) -> float:
    """Bytes of a GPU's memory, however it is written: the GB of a card's name are GiB.

    Raises:
        ConfigError: It is no number of GiB.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:G(?:i?B)?)?", words.strip(), re.IGNORECASE)
    if not found:
        raise ConfigError("A GPU's memory is a number of GiB", given=words, do="write 24 or 24GB")
    return float(found[1]) * GIB


def show(
    gpu: Annotated[str, typer.Option(help="Memory of the GPU in GiB, such as 24 or 24GB.")],
    preset: Annotated[str, typer.Option(help="Name in presets/ [default: none].")] = "",
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="SECTION.KEY=VALUE; may repeat.")
    ] = None,
    tflops_float32: Annotated[
        float,
        typer.Option(min=1e-3, help=f"Dense TFLOP/s of float32; default: {CARD}'s, without TF32."),
    ] = PEAK["float32"],
    tflops_bfloat16: Annotated[
        float, typer.Option(min=1e-3, help=f"Dense TFLOP/s of bfloat16; default: {CARD}'s.")
    ] = PEAK["bfloat16"],
    utilisation: Annotated[
        float, typer.Option(min=1e-3, max=1.0, help="Share of them reached.")
    ] = 0.3,
    price: Annotated[float, typer.Option(min=0.0, help="Per GPU hour.")] = 1.0,
    watts: Annotated[
        float, typer.Option(min=0.0, help="GPU with its share of the machine.")
    ] = 450.0,
    carbon: Annotated[float, typer.Option(min=0.0, help="kg CO2e per kWh.")] = 0.4,
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("params.yaml"),
    folder: Annotated[Path, typer.Option(help="Folder of presets.")] = Path("presets"),
) -> None:
    """Say which steps fit on a GPU, and hours, money and CO2e of a finetuning, as given.

    For pipelines shaped as Stable Diffusion 1.x and 2.x: a U-Net and one text encoder.
    """
    from components.calls import calls_of
    from components.measuring import judging, missing_judges, sampling
    from components.planning import kept_bytes, plan
    from components.shapes import costs, missing
    from components.step import prepare_libraries
    from fairness_core.config import find_preset, load, load_preset

    words = list(set_ or [])
    found = load_preset(params, find_preset(folder, preset), words) if preset else None
    loaded = found or load(params, words)
    prepare_libraries(loaded)
    rates = {"float32": tflops_float32, "bfloat16": tflops_bfloat16}
    told = Assumptions(rates, utilisation, price, watts, carbon)
    cost, memory = costs(loaded), gigabytes(gpu)
    calls = calls_of(loaded)
    kept = kept_bytes(loaded, calls(loaded.finetune.steps[1]))
    needs = [plan(loaded.finetune, cost, memory, kept=kept)]
    needs += [sampling(loaded, memory), judging(loaded, memory)]
    for line in _memory(needs, gpu):
        typer.echo(line)
    command = ["evenhand", "run", *(["--preset", preset] if preset else [])]
    defaults = {"--params": (params, "params.yaml"), "--folder": (folder, "presets")}
    command += [w for key, (a, b) in defaults.items() if a != Path(b) for w in (key, str(a))]
    typer.echo(f"Run: {shlex.join([*command, *_values(words, needs)])}")
    given, chosen = (cost(1, c) for c in (loaded.finetune.checkpointing, _recomputes(needs[0])))
    for line in _hours(loaded, given, chosen, needs[0], told, calls):
        typer.echo(line)
    for name in (*missing(loaded), *missing_judges(loaded)):
        typer.echo(f"Assumed: {name} has the published model's shapes, its folder is not there")


def _values(words: Sequence[str], needs: Sequence[Need]) -> Iterator[str]:
    """The user's own values and the changes, which replace them, as options."""
    changes = [word for need in needs for word in need.words]
    replaced = {word.partition("=")[0] for word in changes}
    for word in (*(w for w in words if w.partition("=")[0] not in replaced), *changes):
        yield from ("--set", word)


def _recomputes(need: Need) -> bool:
    return bool({**need.given, **need.changes}["checkpointing"])


def _memory(needs: Sequence[Need], gpu: str) -> Iterator[str]:
    yield f"Peak GiB of each step, for {gpu}:"
    for need in needs:
        if not need.fits:
            said = f"does not fit; with {' '.join(need.words)} {need.then:.1f}"
        elif all(need.given[key] == value for key, value in need.most.items()):
            said = "fits"
        else:
            said = f"fits, as do {_named(need.most)}"
        yield f"  {need.step:15} {need.gib:5.1f}  {said}; as given: {_named(need.given)}"


def _named(values: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={text(value)}" for key, value in values.items())


def _hours(
    params: Params,
    given: Cost,
    chosen: Cost,
    need: Need,
    told: Assumptions,
    calls: Callable[[int], int],
) -> Iterator[str]:
    """What the finetuning takes as given, with what it needs to fit, and what would be cheaper."""
    from components.pricing import cheaper, price

    section = params.finetune
    asked = price(section, given, told, calls=calls)
    steps = section.gradient_steps or f"all {section.steps[0]} to {section.steps[1]}"
    yield (
        f"Finetuning as given: {_takes(asked, told)}; K = {steps} steps with a gradient, "
        f"{asked.calls[0]} forward and {asked.calls[1]} backward calls per image and iteration"
    )
    if _recomputes(need) != section.checkpointing:
        takes = _takes(price(section, chosen, told, calls=calls), told)
        yield f"With {' '.join(need.words)}: {takes}"
    options = cheaper(section, chosen, told, calls=calls)
    if options:
        yield "Cheaper, each beside the rest of what is given (what it costs in bias: docs):"
    for option in options:
        values = " ".join(f"--set {change}" for change in option.changes)
        yield f"  {option.hours:7.1f} h{_once(option)}  {values}"
    yield (
        f"Assumed: {told.tflops[section.precision]:g} TFLOP/s ({section.precision}"
        + ("; " if section.precision == "float32" else f", judges {told.tflops['float32']:g}; ")
        + f"{CARD} unless told, float32 without TF32) of which {told.utilisation:.0%} are reached, "
        f"{told.watts:g} W, {told.carbon:g} kg CO2e per kWh; without face detection, "
        "validations and waiting"
    )


def _takes(choice: Choice, told: Assumptions) -> str:
    energy, price = choice.hours * told.watts / 1000, choice.hours * told.price
    return (
        f"{choice.hours:.1f} GPU hours{_once(choice)}, {price:.2f} at {told.price:g} an hour, "
        f"{energy:.1f} kWh, {energy * told.carbon:.1f} kg CO2e"
    )


def _once(choice: Choice) -> str:
    return f" (and {choice.once:.1f} h once for the originals)" if choice.once else ""


def audit(
    half_width: Annotated[float, typer.Option(help="Half the interval's width wanted.")],
    prompts: Annotated[int, typer.Option(min=1, help="Prompts.")],
    attribute: Annotated[list[str], typer.Option(help="What is measured; several: jointly.")],
    spread: Annotated[
        float, typer.Option(min=0, help="SD of the bias over prompts; 0: these prompts only.")
    ] = 0.0,
    no_face_rate: Annotated[float, typer.Option(min=0, help="Share without a face.")] = 0.0,
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("params.yaml"),
) -> None:
    """Say how many images an audit needs for the precision wanted."""
    from fairness_core.config import load
    from fairness_core.metrics import fair_floor, plan_images_per_prompt

    space = load(params).attribute_space.subset(attribute)
    plan = plan_images_per_prompt(
        half_width,
        classes=space.n_cells,
        prompts=prompts,
        spread=spread,
        no_face_rate=no_face_rate,
    )
    import numpy as np

    floor = fair_floor(np.array([plan.images]), space.cell_target)
    typer.echo(
        f"For \u00b1{half_width:g} on {group_name(attribute)} at {prompts} prompts you need "
        f"{plan.images} images each, {plan.total} in all (\u00b1{plan.half_width:.3g}); "
        f"a fair sampler would score {floor:.3g} on as many."
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("plan")(show)
    app.command("plan-audit")(audit)
