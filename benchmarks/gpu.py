"""A GPU's figures for Stable Diffusion 1.5: both steps side by side, profiles, memory recipes.

Run from the repository's root: ``python -m benchmarks.gpu``; some minutes on a large GPU, and no
model is needed: networks of the published shapes with random weights (``random_models``), without
face detection. Not run on a GPU yet; ``--shape tiny --device cpu`` is tested.

For each of ``--presets`` a whole iteration (optimizer and average included) with every step's
gradient, and with K of S and the originals from a store; for the first also the published step
(``reference_step``), K of S with the originals sampled, and in bfloat16 the recipes of 24 and
16 GB, torch held to what such a card has. What does not fit is tried with half as many images, at
all or a call, which a line says. Seconds, peak memory (GiB: of the device with all that is on it;
on a CPU above the weights), images a second, the largest costs by name, and the share reached of
the device's own matmul peaks: of bfloat16's for all operations, and of each type's for its own.

Exit status 1 where Stable Diffusion 1.5 on a GPU is less than 3 times as fast as the published
step, or something does not fit.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import DEVICES, clock, save, say
from benchmarks.portraits import PROMPT
from benchmarks.random_models import SHAPES, STAND_INS, random_models
from benchmarks.rates import matmul_peak
from benchmarks.whole_iteration import GIB, Bench, Case, measured
from components.finetune.assemble import new_schedule
from fairness_core.config import Params, find_preset, load_preset
from fairness_core.diffusion import LoraSpec, add_lora, trainable
from fairness_core.runtime import World, as_dtype, prepare
from fairness_core.runtime.seeds import generator, image_noise
from fairness_core.training import Models, Settings, original_latents
from fairness_core.training.state import TrainingState

TIMES_FASTER = 3.0
# Images a call, whether originals are stored, and the card's bytes: of docs/performance.md.
RECIPES = {"24 GB": (4, True, 24e9), "16 GB": (2, False, 16e9)}


def settings_of(params: Params, **changes: Any) -> Settings:
    """What an iteration is told by section ``finetune``, with some values changed."""
    section = params.finetune
    names = [field.name for field in dataclasses.fields(Settings) if field.name != "space"]
    told = {name: getattr(section, name) for name in names}
    return Settings(space=params.attribute_space.subset(section.align), **{**told, **changes})


def cases(loaded: Mapping[str, Params], n: int | None, chosen: int) -> dict[str, Case]:
    """Of each preset; the first has more."""
    found: dict[str, Case] = {}
    for name, params in loaded.items():
        images, first = n or params.finetune.images_per_prompt, not found
        every = Case(settings_of(params, gradient_steps=None), images)
        few = Case(settings_of(params, gradient_steps=chosen), images)
        if first:
            published = dataclasses.replace(every, reference=True, profiled=True)
            found[f"{name}: published step"] = published
        found[f"{name}: every step"] = every
        if first:
            found[f"{name}: K = {chosen}"] = few
        stored = dataclasses.replace(few, stored=True, profiled=first)
        found[f"{name}: K = {chosen}, stored originals"] = stored
        if first and params.finetune.precision == "bfloat16":
            for card, (size, kept, limit) in RECIPES.items():
                told = dataclasses.replace(few.settings, batch_size=size)
                found[f"{name}: recipe of {card}"] = Case(told, images, stored=kept, limit=limit)
    return found


def opened(arguments: argparse.Namespace, loaded: Mapping[str, Params]) -> Bench:
    """Build the models, and what all cases share."""
    device = prepare(arguments.device, arguments.threads)
    first = next(iter(loaded.values()))
    section, dtype = first.finetune, as_dtype(first.finetune.precision)
    models = random_models(SHAPES[arguments.shape], first.attribute_space, device, dtype)
    spec = LoraSpec(section.rank, section.alpha)
    add_lora(models.stack, text_encoder=spec, unet=None, generator=generator("adapters"))
    state = TrainingState(models.stack, new_schedule(section, 0))
    # AdamW makes its moments in its first step, which is no case's.
    for parameter in state.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    state.step()
    n = arguments.images or max(p.finetune.images_per_prompt for p in loaded.values())
    shape = models.stack.latent_shape
    noise = image_noise("benchmark", [PROMPT] * n, list(range(n)), shape).to(device)
    told: dict[str, Any] = {"steps": arguments.steps, "guidance": section.guidance}
    told["batch_size"] = section.batch_size
    kept = original_latents(models.stack, PROMPT, noise, **told).cpu()
    peaks = {kind: matmul_peak(device, kind) for kind in (torch.bfloat16, torch.float32)}
    return Bench(models, state, World(device), noise, kept, peaks, arguments.steps)


def weights(models: Models) -> int:
    """Bytes of all networks."""
    parts = [models.stack.text_encoder, models.stack.vae, models.stack.unet]
    parts += [models.classifier, models.image_text, models.image_self]
    tensors = [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def times_faster(row: Mapping[str, Any], published: Mapping[str, Any], unit: str) -> float | None:
    """By the time of an image, as the published step may not fit with all; None: nothing fits."""
    if unit not in row or unit not in published:
        return None
    return float(published[unit] / published["images"] / (row[unit] / row["images"]))


def is_met(faster: float | None, rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether our step is as much faster as it should be, and everything fits where it should."""
    fits = all(row.get("fits", "out_of_memory" not in row) for row in rows.values())
    return fits and faster is not None and faster >= TIMES_FASTER


def show(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a table."""
    say(
        f"{'':46} {'images':>11} {'calls':>8} {'s':>9} {'img/s':>7} {'faster':>7} {'GiB':>6} "
        "of peak"
    )
    for name, row in rows.items():
        if "out_of_memory" in row:
            say(f"{name:46} out of memory")
            continue
        faster = "" if row["times_faster"] is None else f"{row['times_faster']:.2f}x"
        say(
            f"{name:46} {row['images']:4d}, {row['images_per_call']:2d}/call "
            f"{row['forwards']:4.0f}/{row['backwards']:<3.0f} {row['seconds']:9.3f} "
            f"{row['images_per_second']:7.2f} {faster:>7} "
            f"{row.get('device_gib', row['peak_gib']):6.2f} {row['share_of_bfloat16_peak']:7.3f}"
        )
        for cost in row.get("largest_costs", ()):
            say(f"    {cost['name']:58} {cost['seconds']:9.3f} s, {cost['share']:.0%}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="sd15")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--presets", default="sd15-gender,sd15-gender-race")
    parser.add_argument("--images", type=int, help="N [default: each preset's own]")
    parser.add_argument("--steps", type=int, default=21, help="S")
    parser.add_argument("--chosen", type=int, default=5, help="K")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="gpu", help="of the file of figures")
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    return parser.parse_args()


def main() -> int:
    """Measure all cases, print and write them."""
    arguments = parse()
    changes = [*arguments.set, f"finetune.precision={arguments.precision}"]
    names = arguments.presets.split(",")
    loaded = {
        name: load_preset(Path("params.yaml"), find_preset(Path("presets"), name), changes)
        for name in names
    }
    bench = opened(arguments, loaded)
    device, unit = bench.world.device, clock(bench.world.device)
    for line in STAND_INS:
        say(f"Stands in: {line}")
    rows = {}
    for name, case in cases(loaded, arguments.images, arguments.chosen).items():
        say(name)
        rows[name] = measured(bench, name, case)
    published = rows[f"{names[0]}: published step"]
    for row in rows.values():
        row["times_faster"] = times_faster(row, published, unit)
    show(rows)
    peaks = {str(kind): peak / 1e12 for kind, peak in bench.peaks.items()}
    say("Matmul peaks, 10^12 a second: " + ", ".join(f"{k} {v:.3g}" for k, v in peaks.items()))
    told = {key: getattr(arguments, key) for key in ("shape", "precision", "steps", "chosen")}
    figures = {
        "stand_ins": STAND_INS,
        "adapter_parameters": sum(p.numel() for p in trainable(bench.models.stack).values()),
        "weights_gib": weights(bench.models) / GIB,
        "matmul_tera_operations_per_second": peaks,
    }
    save(arguments.name, {**told, **figures, "rows": rows}, device)
    ours = rows[f"{names[0]}: K = {arguments.chosen}, stored originals"]
    asked = device.type == "cuda" and arguments.shape == "sd15"
    return int(asked and not is_met(ours["times_faster"], rows))


if __name__ == "__main__":
    sys.exit(main())
