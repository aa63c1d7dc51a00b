"""One iteration: sample, detect, classify, align targets, loss, adjusted gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.alignment import make_targets, take_rows
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.diffusion import (
    DiffusionStack,
    accumulate_gradient,
    choose_steps,
    decode,
    disabled,
    encode_prompts,
    sample,
    step_weights,
    trainable,
)
from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.faces import FaceDetector, crop_faces, region_mask
from fairness_core.losses import (
    alignment_terms,
    dynamic_weights,
    region_factors,
    scale_gradient,
    semantic_loss,
    total,
)
from fairness_core.runtime.distributed import World
from fairness_core.training.perceive import Perceived, perceive
from fairness_core.types import Targets

__all__ = ["Models", "Settings", "StepResult", "original_images", "training_step"]


@dataclass(frozen=True)
class Models:
    """Everything an iteration looks through. Only the stack's adapters train."""

    stack: DiffusionStack
    detector: FaceDetector
    classifier: AttributeClassifier
    image_text: ImageTextEncoder
    image_self: ImageSelfEncoder


@dataclass(frozen=True)
class Settings:
    """What an iteration is told; see params.yaml for units and ranges.

    Attributes:
        space: Attributes to align, with their targets.
        guidance: g, at least 1.
        gradient_steps: K of the S steps that get a gradient; all when None.
        gradient_weights: exact, reference or unadjusted.
        confidence: C: targets below it take no part.
        transport_draws: Count vectors drawn for sampled joint targets.
        lambda_image: Weight of the semantics loss.
        factor1: Its factor where target and original class differ, per attribute.
        factor2: Its gradient's further factor inside the face region, per attribute.
        batch_size: Images per network call.
    """

    space: AttributeSpace
    guidance: float
    gradient_steps: int | None
    gradient_weights: Any
    confidence: float
    transport_draws: int
    lambda_image: float
    factor1: Mapping[str, float]
    factor2: Mapping[str, float]
    batch_size: int


@dataclass(frozen=True)
class StepResult:
    """What an iteration measured, over all processes.

    Attributes:
        losses: total, align, image and align_<attribute>.
        shares: Per attribute, share of each class among the faces (argmax); NaN without faces.
        used: Per attribute, share of the faces whose target was confident enough.
        faces: Images with a face.
        images: Images.
    """

    losses: dict[str, float]
    shares: dict[str, tuple[float, ...]]
    used: dict[str, float]
    faces: int
    images: int


@lru_cache(maxsize=64)
def _weights(scheduler: Any, steps: int, mode: Any) -> Tensor:
    return step_weights(scheduler, steps, mode)


@torch.no_grad()
def original_images(
    models: Models,
    prompt: str,
    noise: Float[Tensor, "n c h w"],
    *,
    steps: int,
    guidance: float,
    batch_size: int | None = None,
) -> Float[Tensor, "n 3 y x"]:
    """o_i: the frozen model's images of the prompt from this noise, about [-1, 1]."""
    with disabled(models.stack):
        text, empty = encode_prompts(models.stack, [prompt, ""]).split(1)
        trajectory = sample(
            models.stack,
            noise,
            text.expand(len(noise), -1, -1),
            empty,
            guidance=guidance,
            steps=steps,
            batch_size=batch_size,
        )
        return _decode_all(models.stack, trajectory.final, batch_size)


def training_step(
    models: Models,
    settings: Settings,
    world: World,
    *,
    prompt: str,
    noise: Float[Tensor, "n c h w"],
    steps: int,
    targets_from: torch.Generator,
    steps_from: torch.Generator,
    originals: Float[Tensor, "n 3 y x"] | None = None,
) -> StepResult:
    """Add one iteration's adjusted gradient to the adapters' ``.grad``, summed over processes.

    Args:
        models: What is trained and what judges it.
        settings: Weights, targets and sizes.
        world: The processes; each passes its own rows of the batch.
        prompt: One prompt for the whole batch.
        noise: Unit normal latents of this process's images.
        steps: Sampling steps S.
        targets_from: Source of sampled joint targets; the same on every process.
        steps_from: Source of the K chosen steps; the same on every process.
        originals: The frozen model's images of these rows, if they are stored; sampled otherwise.

    Returns:
        Losses and class shares of the whole batch.
    """
    stack = models.stack
    n, device = len(noise), stack.device
    noise = noise.to(device)
    # 1. sample, keeping the trajectory
    states = encode_prompts(stack, [prompt, ""])
    text = states[:1].detach().repeat(n, 1, 1).requires_grad_(states.requires_grad)
    empty = states[1:].detach().clone().requires_grad_(states.requires_grad)
    trajectory = sample(
        stack,
        noise,
        text.detach(),
        empty.detach(),
        guidance=settings.guidance,
        steps=steps,
        batch_size=settings.batch_size,
    )
    # 2. detect faces and classify them; the frozen model's images too
    seen = perceive(
        _decode_all(stack, trajectory.final, settings.batch_size),
        models.detector,
        models.classifier,
    )
    if originals is None:
        originals = original_images(
            models,
            prompt,
            noise,
            steps=steps,
            guidance=settings.guidance,
            batch_size=settings.batch_size,
        )
    originally = perceive(originals, models.detector, models.classifier)
    # 3. align targets over every process's faces
    everyone = {
        name: world.gather_rows(seen.probabilities[name]).cpu() for name in settings.space.names
    }
    present = world.gather_rows(seen.faces.present).cpu()
    targets = make_targets(
        everyone,
        present,
        settings.space,
        confidence=settings.confidence,
        draws=settings.transport_draws,
        generator=targets_from,
    )
    # 4. loss, and its cotangent v = dL/dz_0
    first = world.shard(len(present)).start
    local = {name: take_rows(t, slice(first, first + n)) for name, t in targets.items()}
    cotangent, losses = _loss_gradient(
        models,
        settings,
        trajectory.final,
        seen,
        originals.to(device),
        originally,
        local,
        n_faces=int(present.sum()),
        n_images=len(present),
    )
    # 5. adjusted gradient: one network call per chosen step
    indices, scale = choose_steps(len(trajectory), settings.gradient_steps, steps_from)
    weights = _weights(stack.scheduler, steps, settings.gradient_weights)
    accumulate_gradient(
        stack,
        trajectory,
        cotangent,
        embedding=text,
        empty=empty,
        guidance=settings.guidance,
        weights=weights,
        indices=indices,
        scale=scale,
        batch_size=settings.batch_size,
    )
    if states.requires_grad:
        gradient = torch.zeros_like(states)
        for row, leaf in enumerate((text, empty)):
            if leaf.grad is not None:
                gradient[row] = leaf.grad.sum(dim=0)
        states.backward(gradient)
    world.sum_([p.grad for p in trainable(stack).values() if p.grad is not None])
    return _result(settings.space, losses, everyone, present, targets, world)


def _loss_gradient(
    models: Models,
    settings: Settings,
    latents: Float[Tensor, "n c h w"],
    seen: Perceived,
    originals: Float[Tensor, "n 3 y x"],
    originally: Perceived,
    targets: Mapping[str, Targets],
    *,
    n_faces: int,
    n_images: int,
) -> tuple[Float[Tensor, "n c h w"], dict[str, float]]:
    """Compute v = dL/dz_0 of these rows, chunk by chunk, and the loss parts they add."""
    cotangent, sums = torch.empty_like(latents), dict[str, float]()
    weights = dynamic_weights(
        targets, originally.classes, originally.faces.present, settings.factor1
    )
    factors = region_factors(
        targets, originally.classes, originally.faces.present, settings.factor2
    )
    size = (originals.shape[-2], originals.shape[-1])
    both = seen.faces.present & originally.faces.present
    region = region_mask(seen.faces.boxes, originally.faces.boxes, both, size)
    for start in range(0, len(latents), settings.batch_size):
        rows = slice(start, start + settings.batch_size)
        z = latents[rows].detach().requires_grad_()
        images = decode(models.stack, z)
        crops = crop_faces(
            images,
            seen.faces.boxes[rows],
            seen.faces.present[rows],
            size=models.classifier.input_size,
        )
        logits = models.classifier.logits(crops)
        held = scale_gradient(images, region[rows], factors[rows])
        with torch.no_grad():
            was_text = models.image_text.image(originals[rows])
            was_self = models.image_self.image(originals[rows])
        parts = total(
            {a: alignment_terms(logits[a], take_rows(t, rows)) for a, t in targets.items()},
            semantic_loss(
                models.image_text.image(held), was_text, models.image_self.image(held), was_self
            ),
            weights[rows],
            lambda_image=settings.lambda_image,
            n_faces=n_faces,
            n_images=n_images,
        )
        (cotangent[rows],) = torch.autograd.grad(parts.total, z)
        measured = {"total": parts.total, "align": parts.align, "image": parts.image}
        measured |= {f"align_{a}": value for a, value in parts.per_attribute.items()}
        for name, value in measured.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
    return cotangent, sums


def _result(
    space: AttributeSpace,
    losses: dict[str, float],
    probabilities: Mapping[str, Float[Tensor, "n k"]],
    present: Tensor,
    targets: Mapping[str, Targets],
    world: World,
) -> StepResult:
    values = torch.tensor(list(losses.values()), dtype=torch.float64, device=world.device)
    world.sum_([values])
    faces = int(present.sum())
    shares, used = {}, {}
    for attribute in space.attributes:
        seen = probabilities[attribute.name][present].argmax(dim=-1)
        counts = torch.bincount(seen, minlength=attribute.size).double()
        shares[attribute.name] = tuple((counts / faces).tolist())
        used[attribute.name] = float(targets[attribute.name].active.sum()) / max(faces, 1)
    return StepResult(
        losses=dict(zip(losses, values.tolist(), strict=True)),
        shares=shares,
        used=used,
        faces=faces,
        images=len(present),
    )


def _decode_all(
    stack: DiffusionStack, latents: Float[Tensor, "n c h w"], batch_size: int | None
) -> Float[Tensor, "n 3 y x"]:
    with torch.no_grad():
        return torch.cat(
            [decode(stack, part) for part in latents.split(batch_size or len(latents))]
        )
