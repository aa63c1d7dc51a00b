"""What memory layout, attention, type and compilation are worth to the diffusion model's calls.

Run from the repository's root: ``python -m benchmarks.layouts``. One process: the default run's
diffusion model as finetuning holds it (convolutions channels-last, torch's fused attention,
float32), and the same with one of these changed, in turns. Timed are a call of the U-Net with both
branches of guidance, the same with the prompts' gradient, and the decoding of latents.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import AttnProcessor

from benchmarks.measure import DEVICES, clock, in_turns, save, say
from benchmarks.portraits import PROMPT, portraits
from fairness_core.diffusion import DiffusionStack, encode_prompts
from fairness_core.runtime.seeds import image_noise

TIMED = ("U-Net", "U-Net and gradient", "decoding")
AS_IS = "as finetuning has it"
Change = Callable[[DiffusionStack], object]


def contiguous(stack: DiffusionStack) -> None:
    """Convolutions' weights as torch makes them."""
    for network in (stack.network, stack.vae):
        network.to(memory_format=torch.contiguous_format)


def plain_attention(stack: DiffusionStack) -> None:
    """Scores, softmax and sum, one after another."""
    for network in (stack.network, stack.vae):
        network.set_attn_processor(AttnProcessor())


def compiled(stack: DiffusionStack) -> None:
    """The U-Net through torch.compile, in place; its first calls compile it."""
    stack.network.compile()


VARIANTS: Mapping[str, tuple[str, Change | None]] = {
    AS_IS: ("float32", None),
    "contiguous, not channels-last": ("float32", contiguous),
    "plain attention, not fused": ("float32", plain_attention),
    "bfloat16": ("bfloat16", None),
    "torch.compile": ("float32", compiled),
}


def calls(stack: DiffusionStack, images: int) -> dict[str, Callable[[], object]]:
    """The three that are timed."""
    noise = image_noise("benchmark", [PROMPT] * images, list(range(images)), stack.latent_shape)
    latents = noise.to(stack.device, stack.dtype)
    pair = torch.cat([latents, latents])
    with torch.no_grad():
        text = encode_prompts(stack, ["", PROMPT])
    rows = [0] * images + [1] * images
    step = torch.tensor(500, device=stack.device)

    def forward() -> None:
        with torch.no_grad():
            stack.family.call(stack, pair, step, text[rows], 1.0)

    def gradient() -> None:
        leaf = text[rows].map(lambda part: part.detach().requires_grad_())
        stack.family.call(stack, pair, step, leaf, 1.0).float().square().sum().backward()

    def decode() -> None:
        with torch.no_grad():
            stack.vae.decode(latents)

    return dict(zip(TIMED, (forward, gradient, decode), strict=True))


def main() -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=32, help="N")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--name", default="layouts", help="of the file of figures")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    told = [*arguments.set, f"run.threads={arguments.threads}", f"run.device={arguments.device}"]
    work: dict[str, dict[str, Callable[[], object]]] = {}
    first: dict[str, float] = {}
    device = torch.device("cpu")
    for name in dict.fromkeys([AS_IS, *arguments.only]):
        precision, change = VARIANTS[name]
        _, models, _, _ = portraits(arguments.artifacts, [*told, f"finetune.precision={precision}"])
        device = models.stack.device
        if change is not None:
            change(models.stack)
        work[name] = calls(models.stack, arguments.images)
        start = time.perf_counter()
        for run in work[name].values():
            run()
        first[name] = time.perf_counter() - start
    rows: dict[str, dict[str, Any]] = {name: {"first_seconds": first[name]} for name in work}
    for what in TIMED:
        times = in_turns({name: work[name][what] for name in work}, arguments.rounds, device=device)
        for name, taken in times.items():
            rows[name][what] = taken
    unit = clock(device)
    say(f"{'ms a call, and how many times as fast':40} " + " ".join(f"{x:>22}" for x in TIMED))
    for name, row in rows.items():
        for what in TIMED:
            row[what]["times_faster"] = rows[AS_IS][what][unit] / row[what][unit]
        cells = (f"{1000 * row[w][unit]:12.1f} {row[w]['times_faster']:8.2f}x" for w in TIMED)
        say(f"{name:40} " + " ".join(cells) + f"   first calls {row['first_seconds']:.1f} s")
    told_of = {"images": arguments.images, "threads": torch.get_num_threads(), "compared": unit}
    save(arguments.name, {**told_of, "rows": rows}, device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
