"""Training of the base model's parts: autoencoder, its decoder, text encoder and U-Net."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPTextModel

from fairness_core.portraits.base import BETA_END, BETA_START, new_vae
from fairness_core.portraits.fitting import OnStep
from fairness_core.runtime.seeds import generator

__all__ = ["encode_all", "refine_decoder", "train_denoiser", "train_vae"]

MOST_NOISE_TO_SIGNAL = 10.0
TOWARDS_NOISE = 0.65  # a uniform number to this power; below 1 favours noisy times


def train_vae(
    images: Float[Tensor, "n 3 32 32"], *, steps: int, batch_size: int = 32, on_step: OnStep
) -> AutoencoderKL:
    """Fit the autoencoder: absolute error, its gradient, and a light KL term.

    Args:
        images: In [-1, 1].
        steps: Optimiser steps.
        batch_size: Images per step.
        on_step: Called with (step, loss).
    """
    vae, source = new_vae(), generator("portraits", "vae-batches")
    optimizer = torch.optim.AdamW(vae.parameters(), lr=2e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for step in range(steps):
        rows = torch.randint(len(images), (batch_size,), generator=source)
        batch = images[rows].contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(batch).latent_dist
        latents = posterior.mean + posterior.std * torch.randn(
            posterior.mean.shape, generator=source
        )
        out = vae.decode(latents).sample
        loss = _difference(out, batch) + 1e-5 * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        on_step(step, float(loss.detach()))
    return vae.eval()


def refine_decoder(
    vae: AutoencoderKL,
    images: Float[Tensor, "n 3 32 32"],
    mean: Float[Tensor, "n 4 8 8"],
    std: Float[Tensor, "n 4 8 8"],
    *,
    steps: int,
    batch_size: int = 32,
    on_step: OnStep,
) -> AutoencoderKL:
    """Train the decoder alone; the latents stay what they are, so the U-Net need not wait.

    Args:
        vae: As ``train_vae`` left it; changed in place.
        images: In [-1, 1].
        mean: Latent means, unscaled.
        std: Latent standard deviations, unscaled.
        steps: Optimiser steps.
        batch_size: Images per step.
        on_step: Called with (step, loss).
    """
    source = generator("portraits", "decoder-batches")
    vae.requires_grad_(False)
    decoder = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()]
    for parameter in decoder:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(decoder, lr=1.5e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1.5e-3, total_steps=steps, pct_start=0.05
    )
    for step in range(steps):
        rows = torch.randint(len(images), (batch_size,), generator=source)
        noise = torch.randn(mean[rows].shape, generator=source)
        latents = (mean[rows] + std[rows] * noise).contiguous(memory_format=torch.channels_last)
        loss = _difference(vae.decode(latents).sample, images[rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decoder, 1.0)
        optimizer.step()
        schedule.step()
        on_step(step, float(loss.detach()))
    return vae.eval()


def _difference(
    shown: Float[Tensor, "n 3 32 32"], images: Float[Tensor, "n 3 32 32"]
) -> Float[Tensor, ""]:
    """Absolute error of the pixels and of their differences along both axes."""
    edges = [(shown.diff(dim=d) - images.diff(dim=d)).abs().mean() for d in (2, 3)]
    return F.l1_loss(shown, images) + edges[0] + edges[1]


@torch.no_grad()
def encode_all(
    vae: AutoencoderKL, images: Float[Tensor, "n 3 32 32"], batch_size: int = 256
) -> tuple[Float[Tensor, "n 4 8 8"], Float[Tensor, "n 4 8 8"]]:
    """Mean and standard deviation of every image's latent."""
    parts = [vae.encode(batch).latent_dist for batch in images.split(batch_size)]
    return (
        torch.cat([p.mean for p in parts]).contiguous(),
        torch.cat([p.std for p in parts]).contiguous(),
    )


def train_denoiser(
    text: CLIPTextModel,
    unet: UNet2DConditionModel,
    mean: Float[Tensor, "n 4 8 8"],
    std: Float[Tensor, "n 4 8 8"],
    tokens: Int[Tensor, "n t"],
    empty: Int[Tensor, " t"],
    *,
    steps: int,
    batch_size: int = 96,
    learning_rate: float = 2.5e-3,
    average: float = 0.998,
    on_step: OnStep,
) -> None:
    """Fit text encoder and U-Net together on noise prediction; they end as moving averages.

    What a caption says is decided where there is much noise, and there the plain error of the
    noise hardly depends on it. So the error is weighted by the square root of noise over signal
    (as in perception-prioritised training, Choi et al., 2022), and noisy times are drawn more
    often: captions are followed after a quarter of the steps.

    Args:
        text: Changed in place.
        unet: Changed in place.
        mean: Scaled latent means.
        std: Scaled latent standard deviations.
        tokens: Caption token ids.
        empty: Token ids of the empty caption, used for one caption in ten.
        steps: Optimiser steps.
        batch_size: Latents per step.
        learning_rate: Highest rate.
        average: Decay of the moving average.
        on_step: Called with (step, loss).
    """
    source = generator("portraits", "denoiser-batches")
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, 1000) ** 2
    alpha_bar = torch.cumprod(1 - betas, 0)
    weights = ((1 - alpha_bar) / alpha_bar).clamp(max=MOST_NOISE_TO_SIGNAL).sqrt()
    parameters = [*text.train().parameters(), *unet.train().parameters()]
    averages = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=steps, pct_start=0.06
    )
    for step in range(steps):
        rows = torch.randint(len(mean), (batch_size,), generator=source)
        noise = torch.randn((batch_size, *mean.shape[1:]), generator=source)
        latents = mean[rows] + std[rows] * torch.randn(noise.shape, generator=source)
        late = torch.rand(batch_size, generator=source) ** TOWARDS_NOISE
        times = (1000 * late).long().clamp(max=999)
        a = alpha_bar[times].view(-1, 1, 1, 1)
        noisy = a.sqrt() * latents + (1 - a).sqrt() * noise
        dropped = torch.rand(batch_size, generator=source) < 0.1
        ids = torch.where(dropped[:, None], empty, tokens[rows])
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        out = unet(noisy, times, encoder_hidden_states=text(ids)[0]).sample
        errors = (out - noise).square().mean(dim=(1, 2, 3))
        loss = (weights[times] * errors).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        keep = min(average, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(averages, [p.detach() for p in parameters], 1 - keep)
        on_step(step, float(errors.detach().mean()))
    with torch.no_grad():
        for parameter, averaged in zip(parameters, averages, strict=True):
            parameter.copy_(averaged)
    text.eval()
    unet.eval()
