"""Peak memory of one training step against sampling steps (10 to 100) and images (4 to 64).

Run from the repository's root: ``python -m benchmarks.gradient_memory``. The step is: sample with
the adapters and without them, decode, a loss on the images, its gradient for the adapters of both
networks. Every allocation of tensor memory is recorded, so the figures are exact and the same in
every run, and they leave out the weights. For comparison, a plain autograd graph through the
sampler, which grows with the steps. Images are taken all at once, and a few at a time as
``finetune.batch_size`` does. Exit status 1 if 50 steps take more than 1.05 times the memory of 10.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from benchmarks.measure import DEVICES, MIB, peak_bytes, save, say
from fairness_core.diffusion import (
    Conditioning,
    DiffusionStack,
    LoraSpec,
    accumulate_gradient,
    add_lora,
    decode,
    disabled,
    encode_prompts,
    sample,
    step_weights,
)
from fairness_core.runtime import prepare

STEPS = (10, 20, 50, 100)
PLAIN_STEPS = (10, 20)
IMAGES = (4, 8, 16, 32, 64)
GUIDANCE = 3.0
LIMIT = 1.05


def small_stack(device: torch.device) -> DiffusionStack:
    """Make a random model of about the size of the portraits' one: 8x8 latents, 32x32 images."""
    torch.manual_seed(0)
    words = {"<|startoftext|>": 0, "<|endoftext|>": 1}
    tokenizer = CLIPTokenizer(vocab=words, merges=[], model_max_length=16)
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=16,
            bos_token_id=0,
            eos_token_id=1,
            pad_token_id=1,
        )
    )
    vae = AutoencoderKL(
        sample_size=32,
        block_out_channels=(16, 16, 32),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=8,
        layers_per_block=1,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=4,
        norm_num_groups=8,
    )
    scheduler = DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )
    return DiffusionStack(
        tokenizer=tokenizer,
        text_encoder=text_encoder.eval().to(device),
        vae=vae.eval().requires_grad_(False).to(device),
        unet=unet.eval().to(device),
        scheduler=scheduler,
    )


def by_products(
    stack: DiffusionStack, noise: Tensor, steps: int, batch_size: int | None = None
) -> None:
    """Compute the adjusted gradient with one network call of ``batch_size`` images in memory."""
    encoded = encode_prompts(stack, ["a portrait"])
    encoded_empty = encode_prompts(stack, [""])
    embedding, empty = encoded.leaf(len(noise)), encoded_empty.leaf()
    options: dict[str, Any] = {"guidance": GUIDANCE, "steps": steps, "batch_size": batch_size}
    trajectory = sample(stack, noise, embedding, empty, **options)
    with disabled(stack):
        was = sample(stack, noise, embedding.detach(), empty.detach(), **options).final
    size = batch_size or len(noise)
    cotangents = []
    for part, before in zip(trajectory.final.split(size), was.split(size), strict=True):
        final = part.clone().requires_grad_(True)
        with torch.no_grad():
            original = decode(stack, before)
        difference = decode(stack, final, checkpoint=True) - original
        loss = difference.square().mean() * len(part) / len(noise)
        cotangents += torch.autograd.grad(loss, final)
    accumulate_gradient(
        stack,
        trajectory,
        torch.cat(cotangents),
        embedding=embedding,
        empty=empty,
        guidance=GUIDANCE,
        weights=step_weights(stack, steps, "exact"),
        indices=range(steps),
        scale=1.0,
        batch_size=batch_size,
    )
    encoded.backward([embedding])
    encoded_empty.backward([empty])


def by_plain_graph(stack: DiffusionStack, noise: Tensor, steps: int) -> None:
    """Compute the unadjusted gradient by autograd through the sampler, inputs detached."""
    embedding = encode_prompts(stack, ["a portrait"]).expand(len(noise))
    empty = encode_prompts(stack, [""]).expand(len(noise))
    scheduler = stack.new_scheduler(steps)
    latents = noise
    for timestep in scheduler.timesteps:
        inputs = scheduler.scale_model_input(latents, timestep).detach()
        without, with_text = stack.predict(
            torch.cat([inputs, inputs]), timestep, Conditioning.cat([empty, embedding])
        ).chunk(2)
        output = without + GUIDANCE * (with_text - without)
        latents = scheduler.step(output, timestep, latents).prev_sample
    decode(stack, latents, checkpoint=True).square().mean().backward()


def main() -> int:
    """Print the figures; 1 if memory grows with the steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="pipeline folder; a small random model when left out")
    parser.add_argument("--images", type=int, default=4, help="images of the batch")
    parser.add_argument("--rank", type=int, default=8, help="LoRA rank")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    arguments = parser.parse_args()
    device = prepare(arguments.device, 1)
    stack = (
        DiffusionStack.load(arguments.model, device=device)
        if arguments.model
        else small_stack(device)
    )
    generator = torch.Generator().manual_seed(0)
    spec = LoraSpec(arguments.rank)
    add_lora(stack, text_encoder=spec, unet=spec, generator=generator)
    noise = torch.randn(max(IMAGES), *stack.latent_shape, generator=generator).to(device)
    few = noise[: arguments.images]
    by_products(stack, few, 1)  # what is made once, such as gradients, is not a step's
    found: dict[str, dict[int, float]] = {}

    def measure(name: str, at: int, work: Callable[..., None], *given: Any) -> None:
        row = found.setdefault(name, {})
        row[at] = peak_bytes(lambda: work(stack, *given), device) / MIB
        say(f"{name:28s} {at:4d}  {row[at]:8.2f} MiB  x{row[at] / next(iter(row.values())):.3f}")

    for n in STEPS:
        measure("products, steps", n, by_products, few, n)
    for n in PLAIN_STEPS:
        measure("plain graph, steps", n, by_plain_graph, few, n)
    for n in IMAGES:
        measure("all images at once", n, by_products, noise[:n], 10)
    for n in IMAGES:
        measure(f"{len(few)} images at a time", n, by_products, noise[:n], 10, len(few))
    ratio = found["products, steps"][50] / found["products, steps"][10]
    say(f"50 steps over 10: {ratio:.4f}, limit {LIMIT}")
    save("gradient_memory", {"mib": found}, device)
    return int(ratio > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
