"""One iteration: sample, detect, classify, align targets, loss, adjusted gradient."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from fairness_core.alignment import held_targets, make_targets, take_rows
from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion import (
    Conditioning,
    DiffusionStack,
    accumulate_full_gradient,
    accumulate_gradient,
    choose_steps,
    encode_prompts,
    sample,
    soft_tokens,
    step_weights,
    trainable,
)
from fairness_core.runtime.distributed import World
from fairness_core.training.cotangent import loss_gradient
from fairness_core.training.originals import original_latents
from fairness_core.training.parts import Models, Settings, StepResult
from fairness_core.training.perceive import Count, count_batch, counterparts, decode_all, perceive
from fairness_core.types import Targets, Trajectory

__all__ = ["original_images", "training_step"]


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
    latents = original_latents(
        models.stack, prompt, noise, steps=steps, guidance=guidance, batch_size=batch_size
    )
    return decode_all(models.stack, latents, batch_size)


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
    originals: Float[Tensor, "n c h w"] | None = None,
    named: Collection[str] = (),
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
        originals: The frozen model's latents of these rows, if they are stored; sampled otherwise.
        named: Attributes that the prompt itself asks a class of ("a female doctor"), aligned or
            not: their target is the class of the frozen model's image, so that the prompt stays
            as it was. The classifier knows them.

    Returns:
        Losses and class shares of the whole batch.
    """
    stack = models.stack
    n, device = len(noise), stack.device
    noise = noise.to(device)
    # 1. sample, keeping the trajectory
    states = encode_prompts(stack, [prompt, ""])
    # Soft tokens stand in no empty prompt, whose branch then needs no backward pass.
    text_only = settings.guided_gradient == "text"
    in_both = stack.family.empty_learns and soft_tokens(stack) is None and not text_only
    text, empty = states[:1].leaf(n), states[1:].leaf(trains=in_both)
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
        decode_all(stack, trajectory.final, settings.judged),
        models.detector,
        models.classifier,
        every=settings.faces == "all",
    )
    if originals is None:
        originals = original_latents(
            stack,
            prompt,
            noise,
            steps=steps,
            guidance=settings.guidance,
            batch_size=settings.batch_size,
        )
    was = decode_all(stack, originals.to(device), settings.judged)
    originally = perceive(was, models.detector, models.classifier, every=settings.faces == "all")
    if settings.faces == "all":
        originally = counterparts(seen, originally)
    # 3. align targets over every process's faces
    everyone = {
        name: world.gather_rows(seen.probabilities[name]).cpu() for name in settings.space.names
    }
    present = world.gather_rows(seen.faces.present).cpu()
    free = [name for name in settings.space.names if name not in named]
    targets = {}
    if free:
        targets = make_targets(
            everyone,
            present,
            settings.space.subset(free),
            confidence=settings.confidence,
            draws=settings.transport_draws,
            generator=targets_from,
        )
    for name in named:
        before = world.gather_rows(originally.probabilities[name]).cpu()
        both = present & world.gather_rows(originally.faces.present).cpu()
        targets[name] = held_targets(before, both, confidence=settings.confidence)
    # 4. loss, and its cotangent v = dL/dz_0
    count = count_batch(seen, n, world)
    local = {name: take_rows(t, count.rows) for name, t in targets.items()}
    cotangent, losses = loss_gradient(
        models,
        settings,
        trajectory.final,
        seen,
        was,
        originally,
        local,
        free=free,
        n_faces=int(present.sum()),
        n_images=count.images,
    )
    # 5. adjusted gradient: one network call per chosen step
    _accumulate(
        stack, settings, trajectory, noise, cotangent,
        steps=steps, text=text, empty=empty, steps_from=steps_from,
    )  # fmt: skip
    states.backward([text, empty])
    world.sum_([_gradient(parameter) for parameter in trainable(stack).values()])
    return _result(settings.space, losses, everyone, present, targets, count, world)


def _accumulate(
    stack: DiffusionStack,
    settings: Settings,
    trajectory: Trajectory,
    noise: Float[Tensor, "n c h w"],
    cotangent: Float[Tensor, "n c h w"],
    *,
    steps: int,
    text: Conditioning,
    empty: Conditioning,
    steps_from: torch.Generator,
) -> None:
    """Pass dL/dz_0 on to the adapters of the network and to the two conditionings."""
    common = {"embedding": text, "empty": empty}
    if settings.gradient_weights == "full":
        accumulate_full_gradient(
            stack,
            noise,
            cotangent,
            **common,
            guidance=settings.guidance,
            steps=steps,
            batch_size=settings.batch_size,
        )
        return
    # Some samplers make more network calls than steps (PNDM, Heun): K are chosen of the calls.
    indices, scale = choose_steps(
        len(trajectory), settings.gradient_steps, steps_from, settings.gradient_choice
    )
    accumulate_gradient(
        stack,
        trajectory,
        cotangent,
        **common,
        guidance=settings.guidance,
        weights=step_weights(stack, steps, settings.gradient_weights),
        indices=indices,
        scale=scale,
        batch_size=settings.batch_size,
        text_only=settings.guided_gradient == "text",
    )


def _gradient(parameter: Parameter) -> Tensor:
    """A parameter's gradient, zero if there is none: every process must sum the same tensors."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _result(
    space: AttributeSpace,
    losses: dict[str, float],
    probabilities: Mapping[str, Float[Tensor, "n k"]],
    present: Tensor,
    targets: Mapping[str, Targets],
    count: Count,
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
        with_face=count.with_face,
        images=count.images,
    )
