"""One iteration the slow way: one autograd graph from the adapters to the loss, targets fixed.

The loss is written out from the paper's formulas, image by image; of the code under test it uses
only what is tested elsewhere: encoding, cropping, targets, and the judging networks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fairness_core.alignment import make_targets
from fairness_core.diffusion import disabled, encode_prompts, trainable
from fairness_core.faces import crop_faces, expand_square
from fairness_core.training import Models, Settings
from fairness_core.types import Faces, Targets
from tests.diffusion.plain import plain_run


def plain_gradient(
    models: Models,
    settings: Settings,
    prompt: str,
    noise: Tensor,
    steps: int,
    *,
    factors: Sequence[float] | None = None,
    named: Sequence[str] = (),
    hold_empty: bool = False,
    coupled: bool = False,
) -> tuple[dict[str, Tensor], float]:
    """Gradient of every adapter weight, and the loss.

    ``factors`` multiply the gradient of each sampling step. Attributes that are ``named`` keep the
    originals' classes. With ``hold_empty`` no gradient passes through the empty prompt;
    where the steps are ``coupled``, one passes through the network's inputs too.
    """
    images = _images(
        models, settings, prompt, noise, steps, factors, hold_empty=hold_empty, coupled=coupled
    )
    with torch.no_grad(), disabled(models.stack):
        originals = _images(models, settings, prompt, noise, steps)
    faces, _, probabilities = _judge(models, images.detach())
    was_faces, was_classes, was_probabilities = _judge(models, originals)
    free = [name for name in settings.space.names if name not in named]
    targets = make_targets(
        {name: probabilities[name] for name in free},
        faces.present,
        settings.space.subset(free),
        confidence=settings.confidence,
        draws=settings.transport_draws,
        generator=torch.Generator().manual_seed(0),
    )
    for name in named:
        sure = was_probabilities[name].max(dim=-1).values
        targets[name] = Targets(
            expected=was_probabilities[name],
            labels=was_classes[name],
            confidence=sure,
            active=faces.present & was_faces.present & (sure >= settings.confidence),
        )
    loss = _align(models, images, faces, targets)
    differing = [
        [
            name
            for name in free
            if was_faces.present[i]
            and faces.present[i]
            and (
                targets[name].labels[i] != was_classes[name][i]
                if targets[name].active[i]
                else settings.unsure == "loosened"
            )
        ]
        for i in range(len(images))
    ]
    for i, names in enumerate(differing):
        scale = torch.ones(images.shape[-2:])
        if faces.present[i] and was_faces.present[i]:
            inside = _inside(faces.boxes[i], scale) & _inside(was_faces.boxes[i], scale)
            scale[inside] = min((settings.factor2[name] for name in names), default=1.0)
        held = (images[i] * scale + (images[i] * (1 - scale)).detach())[None]
        weight = min((settings.factor1[name] for name in names), default=1.0)
        for encoder in (models.image_text, models.image_self):
            with torch.no_grad():
                original = encoder.image(originals[i : i + 1])
            cosine = (encoder.image(held) * original).sum()
            loss = loss + settings.lambda_image * weight * (1 - cosine) / len(images)
    parameters = trainable(models.stack)
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    return dict(zip(parameters, gradients, strict=True)), float(loss.detach())


def _images(
    models: Models,
    settings: Settings,
    prompt: str,
    noise: Tensor,
    steps: int,
    factors: Sequence[float] | None = None,
    *,
    hold_empty: bool = False,
    coupled: bool = False,
) -> Tensor:
    stack = models.stack
    states = encode_prompts(stack, [prompt, ""])
    run = plain_run(
        stack,
        noise,
        states[:1].expand(len(noise)),
        states[1:].detach() if hold_empty else states[1:],
        guidance=settings.guidance,
        steps=steps,
        factors=factors,
        coupled=coupled,
    )
    images: Tensor = stack.vae.decode(run.final / stack.vae.config.scaling_factor).sample
    return images


def _judge(models: Models, images: Tensor) -> tuple[Faces, dict[str, Tensor], dict[str, Tensor]]:
    shown = images.clamp(-1, 1)
    faces = models.detector.detect(shown)
    size = models.classifier.input_size
    crops = crop_faces(shown, faces.boxes, faces.present, size=size)
    with torch.no_grad():
        probabilities = {k: v.softmax(-1) for k, v in models.classifier.logits(crops).items()}
    return faces, {k: p.argmax(-1) for k, p in probabilities.items()}, probabilities


def _align(models: Models, images: Tensor, faces: Faces, targets: dict[str, Targets]) -> Tensor:
    size = models.classifier.input_size
    logits = models.classifier.logits(crop_faces(images, faces.boxes, faces.present, size=size))
    loss = torch.zeros(())
    for name, target in targets.items():
        for i in range(len(images)):
            if target.active[i]:
                loss = loss - logits[name][i].log_softmax(-1)[target.labels[i]]
    return loss / max(int(faces.present.sum()), 1)


def _inside(box: Tensor, like: Tensor) -> Tensor:
    x0, y0, x1, y1 = expand_square(box[None], 1.5)[0].tolist()
    height, width = like.shape
    rows = [[x0 < x + 0.5 < x1 and y0 < y + 0.5 < y1 for x in range(width)] for y in range(height)]
    return torch.tensor(rows)
