"""The published method's step, plainly: three passes of the sampler and one graph over all steps.

Written from the paper's description, for comparison. Targets come from a first pass without a
graph; the frozen model's images from a second; a third samples again with a graph through every
network call, the network's inputs detached, blocks checkpointed (recomputed in the backward pass),
and a hook on each prediction that scales its gradient. Per image, S = 21 and guidance: 168 forward
and 42 backward calls of the network. Loss and weights are those of our step, so that the two
gradients are the same but for rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from fairness_core.alignment import make_targets
from fairness_core.diffusion import (
    Conditioning,
    decode,
    encode_prompts,
    sample,
    sampler_coefficients,
    step_weights,
)
from fairness_core.training import Models, Settings, original_images
from fairness_core.training.cotangent import loss_gradient
from fairness_core.training.perceive import perceive


@dataclass
class Calls:
    """Rows that passed a block of the network forward, recomputation included, and back."""

    forwards: int = 0
    backwards: int = 0
    _handles: list = field(default_factory=list)


@contextmanager
def counted(models: Models) -> Iterator[Calls]:
    """Count at the last layer of the middle block, which is recomputed where blocks are."""
    calls, layer = Calls(), models.stack.unet.mid_block.resnets[-1]

    def forward(_: object, inputs: tuple[Tensor, ...]) -> None:
        calls.forwards += len(inputs[0])

    def backward(*_: object) -> None:
        # The layer's output, once in each backward pass.
        calls.backwards += calls_rows[0]

    calls_rows = [0]

    def note(_: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls_rows[0] = len(output)

    handles = [
        layer.register_forward_pre_hook(forward),
        layer.register_forward_hook(note),
        layer.register_full_backward_hook(backward),
    ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def checkpointed(models: Models, wanted: bool) -> Iterator[None]:
    """Let diffusers recompute the blocks of network and decoder in the backward pass.

    It does so wherever there is a gradient, in ``eval()`` too (diffusers 0.42).
    """
    networks = [models.stack.unet, models.stack.vae] if wanted else []
    for network in networks:
        network.enable_gradient_checkpointing()
    try:
        yield
    finally:
        for network in networks:
            network.disable_gradient_checkpointing()


def reference_step(
    models: Models,
    settings: Settings,
    *,
    prompt: str,
    noise: Tensor,
    steps: int,
    targets_from: torch.Generator,
    checkpoint: bool = True,
) -> float:
    """Add one iteration's gradient to the adapters' ``.grad``.

    Args:
        models: As of our step.
        settings: As of our step; ``gradient_steps`` is not read: all steps have a gradient.
        prompt: One prompt for the batch.
        noise: Unit normal latents.
        steps: S.
        targets_from: Source of sampled joint targets.
        checkpoint: Recompute blocks in the backward pass.

    Returns:
        The loss.
    """
    stack, n, guidance = models.stack, len(noise), settings.guidance
    # Pass 1: the tuned model's images, their faces and the targets.
    with torch.no_grad():
        states = encode_prompts(stack, [prompt, ""])
        told = {"guidance": guidance, "steps": steps}
        final = sample(stack, noise, states[:1].expand(n), states[1:], **told).final
        seen = perceive(decode(stack, final), models.detector, models.classifier)
    # Targets are made on the CPU, as in our step.
    targets = make_targets(
        {name: seen.probabilities[name].cpu() for name in settings.space.names},
        seen.faces.present.cpu(),
        settings.space,
        confidence=settings.confidence,
        draws=settings.transport_draws,
        generator=targets_from,
    )
    # Pass 2: the frozen model's images.
    originals = original_images(models, prompt, noise, **told)
    originally = perceive(originals, models.detector, models.classifier)
    # Pass 3: once more, with a graph.
    with checkpointed(models, checkpoint):
        final = _with_graph(models, settings, prompt, noise, steps)
        cotangent, losses = loss_gradient(
            models,
            settings,
            final,
            seen,
            originals,
            originally,
            targets,
            free=settings.space.names,
            n_faces=int(seen.faces.present.sum()),
            n_images=n,
        )
        final.backward(cotangent)
    return losses["total"]


def _with_graph(
    models: Models, settings: Settings, prompt: str, noise: Tensor, steps: int
) -> Tensor:
    """z_0 with a graph over every step, each prediction's gradient divided by its coefficient."""
    stack, n = models.stack, len(noise)
    scheduler = stack.new_scheduler(steps)
    scales = step_weights(stack, steps, settings.gradient_weights) / -sampler_coefficients(
        stack, steps
    )
    states = encode_prompts(stack, [prompt, ""])
    both = Conditioning.cat([states[1:].expand(n), states[:1].expand(n)])
    latents = noise * scheduler.init_noise_sigma
    for timestep, scale in zip(scheduler.timesteps, scales.tolist(), strict=True):
        inputs = scheduler.scale_model_input(latents, timestep).detach()
        without, with_text = stack.predict(torch.cat([inputs, inputs]), timestep, both).chunk(2)
        output = without + settings.guidance * (with_text - without)
        output.register_hook(lambda gradient, scale=scale: gradient * scale)
        latents = scheduler.step(output, timestep, latents, return_dict=False)[0]
    return latents
