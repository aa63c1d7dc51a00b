"""Which K of S steps get a gradient: variance of the estimate under several rules of choosing.

Run from the repository's root: ``python -m benchmarks.step_choice``. For training prompts and two
draws of noise each, the gradient of every single step; from them, exactly, the variance that each
rule adds to the sum over all steps, relative to the squared norm of that sum. Beside it the
variance between the two draws of noise, which no rule of choosing takes away.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from safetensors.torch import load_file
from torch import Tensor

import fairness_core.training.step as step_module
from benchmarks.measure import save, say
from benchmarks.portraits import iterate, portraits
from fairness_core.diffusion import load_adapter_state, trainable
from fairness_core.portraits.world import catalog
from fairness_core.runtime.seeds import image_noise
from fairness_core.training import Models, Settings, original_latents


@contextmanager
def only_step(t: int) -> Iterator[None]:
    """Within, an iteration's gradient is that of step t alone, unscaled."""
    with patch.object(step_module, "choose_steps", lambda *_: ((t,), 1.0)):
        yield


def step_gradients(
    models: Models, settings: Settings, prompt: str, draw: str, images: int, steps: int
) -> Tensor:
    """Gradient of each step for all adapters: S rows."""
    stack = models.stack
    numbers = list(range(images))
    noise = image_noise(draw, [prompt] * images, numbers, stack.latent_shape).to(stack.device)
    told: dict[str, Any] = {"steps": steps, "guidance": settings.guidance, "batch_size": images}
    kept = original_latents(stack, prompt, noise, **told)
    rows = []
    for t in range(steps):
        with only_step(t):
            iterate(models, settings, noise, steps=steps, prompt=prompt, originals=kept)
        gradients = [p.grad for p in trainable(stack).values() if p.grad is not None]
        rows.append(torch.cat([one.flatten() for one in gradients]).double())
    return torch.stack(rows)


def uniform(rows: Tensor, k: int) -> float:
    """K of S drawn without replacement, times S/K: the default."""
    s = len(rows)
    spread = (rows - rows.mean(0)).square().sum() / (s - 1)
    return float(s**2 / k * (1 - k / s) * spread)


def stratified(rows: Tensor, k: int) -> float:
    """One step of each of K equal stretches, times S/K; a step may lie in two of them."""
    s = len(rows)
    starts, total = torch.arange(s).double(), 0.0
    for i in range(k):
        low, high = i * s / k, (i + 1) * s / k
        shares = ((starts + 1).clamp(max=high) - starts.clamp(min=low)).clamp(min=0) * k / s
        mean = shares @ rows
        total += float((s / k) ** 2 * (shares @ (rows - mean).square().sum(1)))
    return total


def importance(rows: Tensor, k: int, shares: Tensor) -> float:
    """K draws with replacement at the given probabilities, each over K times its probability."""
    return float(((rows.square().sum(1) / shares).sum() - rows.sum(0).square().sum()) / k)


def main() -> int:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--images", type=int, default=16, help="N")
    parser.add_argument("--steps", type=int, default=10, help="S")
    parser.add_argument("--adapters", type=Path, help="live.safetensors of a run [default: new]")
    parser.add_argument("--artifacts", type=Path, default=Path("artifacts"))
    parser.add_argument("--set", action="append", default=[], help="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    changes = [*arguments.set, "run.threads=1"]
    _, models, settings, _ = portraits(arguments.artifacts, changes)
    settings = dataclasses.replace(settings, gradient_steps=1, batch_size=arguments.images)
    if arguments.adapters:
        load_adapter_state(models.stack, load_file(arguments.adapters))
    prompts = catalog().query("split == 'train' and family == 'occupation'")["prompt"]
    chosen = prompts.iloc[:: len(prompts) // arguments.prompts].head(arguments.prompts).tolist()
    found = []
    for prompt in chosen:
        draws = [
            step_gradients(models, settings, prompt, draw, arguments.images, arguments.steps)
            for draw in ("first", "second")
        ]
        found.append(draws)
        say(f"{prompt}: norms " + " ".join(f"{norm:.3f}" for norm in draws[0].norm(dim=1)))
    norms = torch.stack([draws[0].norm(dim=1) for draws in found])
    rows = {}
    for k in (2, 4, 8):
        sums: dict[str, list[float]] = {
            name: [] for name in ("uniform", "stratified", "importance")
        }
        for i, draws in enumerate(found):
            # Probabilities from the other prompts, as a run would have them.
            others = torch.cat([norms[:i], norms[i + 1 :]]).mean(0)
            for one in draws:
                square = float(one.sum(0).square().sum())
                sums["uniform"].append(uniform(one, k) / square)
                sums["stratified"].append(stratified(one, k) / square)
                sums["importance"].append(importance(one, k, others / others.sum()) / square)
        rows[k] = {name: float(torch.tensor(values).median()) for name, values in sums.items()}
        say(f"K = {k}: " + "  ".join(f"{name} {value:.3f}" for name, value in rows[k].items()))
    between = [
        float((a.sum(0) - b.sum(0)).square().sum() / 2 / a.sum(0).square().sum()) for a, b in found
    ]
    noise = float(torch.tensor(between).median())
    say(f"between draws of noise: {noise:.3f}")
    shares = (norms.mean(0) / norms.mean(0).sum()).tolist()
    figures = {"rows": rows, "noise": noise, "norm_shares": shares, "steps": len(shares)}
    save("step_choice", figures, models.stack.device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
