"""Train an attribute classifier on labelled face crops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fairness_core.classifiers.augment import augment as augmented
from fairness_core.classifiers.batches import Crops, chunks_of
from fairness_core.classifiers.network import AttributeClassifier
from fairness_core.errors import ConfigError

__all__ = ["Epoch", "History", "fit"]

WEIGHT_DECAY = 1e-2
WARM_UP = 0.05  # of all steps
STATISTICS_IMAGES = 4096
IGNORED = -100  # cross_entropy's own mark


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, measured while training.

    Attributes:
        number: From 1 to ``of``.
        of: Number of epochs.
        loss: Mean cross entropy, nats, summed over the attributes.
        accuracy: Attribute to share of right answers, in [0, 1].
    """

    number: int
    of: int
    loss: float
    accuracy: dict[str, float]


@dataclass(frozen=True)
class History:
    """What every epoch gave, in order."""

    epochs: tuple[Epoch, ...]


def fit(
    model: AttributeClassifier,
    images: Crops,
    labels: Int[Tensor, "n a"],
    *,
    known: Bool[Tensor, "n a"] | None = None,
    epochs: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    augment: bool = True,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> History:
    """Minimise the cross entropy summed over the attributes, with AdamW.

    The learning rate climbs linearly over the first 5 % of the steps and falls to 0 along a
    cosine. Afterwards batch-norm statistics are measured anew with the final weights: some
    architectures keep those of little more than the last batch. The same generator state and
    thread count give the same weights.

    Args:
        model: Trained in place; left in evaluation mode, as frozen as it came.
        images: Crops in [-1, 1], of the model's input size, at least two: a tensor, or crops that
            are decoded while the fit runs.
        labels: Class index of each attribute, in the order of the model's space.
        known: Which labels there are, at least one of each attribute; None: all. An attribute's
            cross entropy is the mean over those of a batch.
        epochs: Passes over the images.
        batch_size: Images in one step, at least two; batches differ by at most one image.
        lr: Highest learning rate.
        generator: Decides the order, the augmentation and any dropout.
        augment: Whether to change the images at random, see ``classifiers.augment``.
        on_epoch: Called after each epoch.

    Raises:
        ConfigError: Too few images, labels that do not fit, or a number out of range.
    """
    _check(model, images, labels, epochs, batch_size, lr)
    told = torch.ones_like(labels, dtype=torch.bool) if known is None else known
    counts = told.sum(dim=0).tolist()
    if min(counts) < 1:
        raise ConfigError(
            "An attribute has no labelled image to learn from",
            given=dict(zip(model.space.names, counts, strict=True)),
        )
    trainable = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(True).train()
    device = model.mean.device

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order = torch.randperm(len(images), generator=generator, device=generator.device)
        chunks = order.to(labels.device).tensor_split(math.ceil(len(images) / batch_size))
        for rows, read in zip(chunks, chunks_of(images, chunks), strict=True):
            chosen = read.to(device)
            shown = augmented(chosen, generator) if augment else chosen
            yield shown, labels[rows].to(device), told[rows].to(device)

    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=WEIGHT_DECAY)
    schedule = _warm_cosine(optimizer, epochs * math.ceil(len(images) / batch_size))
    history = []
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    # Dropout takes no generator: it gets a global state of its own that ends with the fit.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        for number in range(1, epochs + 1):
            total = torch.zeros((), device=device)
            right = torch.zeros(len(model.space.names), device=device)
            for crops, targets, mask in batches():
                loss, hits = _loss(model, crops, targets, mask)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.detach() * len(crops)
                right += hits
            shares = (right / torch.tensor(counts, device=device)).tolist()
            accuracy = dict(zip(model.space.names, shares, strict=True))
            history.append(Epoch(number, epochs, total.item() / len(images), accuracy))
            if on_epoch is not None:
                on_epoch(history[-1])
        _measure_batch_norm(model, batches())
    for parameter, flag in zip(model.parameters(), trainable, strict=True):
        parameter.requires_grad_(flag)
        parameter.grad = None
    model.eval()
    return History(tuple(history))


def _check(
    model: AttributeClassifier,
    images: Crops,
    labels: Tensor,
    epochs: int,
    batch_size: int,
    lr: float,
) -> None:
    if min(len(images), batch_size) < 2 or epochs < 1 or not lr > 0:
        raise ConfigError(
            "A fit needs two images, batches of two, one epoch and a learning rate above 0",
            given=f"{len(images)} images, batch_size={batch_size}, epochs={epochs}, lr={lr}",
        )
    sizes = torch.tensor(model.space.sizes, device=labels.device)
    if labels.shape != (len(images), len(sizes)) or not ((labels >= 0) & (labels < sizes)).all():
        raise ConfigError(
            "The labels are not one class index of each attribute for each image",
            given=f"shape {tuple(labels.shape)}, values {int(labels.min())}..{int(labels.max())}",
            do=f"give {len(images)} rows with a column for each of {', '.join(model.space.names)}",
        )


def _loss(
    model: AttributeClassifier, crops: Tensor, targets: Tensor, known: Tensor
) -> tuple[Tensor, Tensor]:
    """Summed mean cross entropies, and the number of right answers for each attribute."""
    logits = model(crops)
    losses, hits = [], []
    for i, columns in enumerate(model.space.slices.values()):
        part, truth, told = logits[:, columns], targets[:, i].long(), known[:, i]
        # Of no label at all the mean would be 0 / 0.
        loss = F.cross_entropy(part, truth.masked_fill(~told, IGNORED)) if told.any() else 0 * part
        losses.append(loss.sum())
        hits.append(((part.argmax(-1) == truth) & told).sum())
    return torch.stack(losses).sum(), torch.stack(hits).float()


def _warm_cosine(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    warm = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


@torch.no_grad()
def _measure_batch_norm(
    model: AttributeClassifier, batches: Iterator[tuple[Tensor, Tensor, Tensor]]
) -> None:
    """Set running statistics to the plain average over at most 4096 images."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    seen = 0
    for crops, _, _ in batches:
        model(crops)
        seen += len(crops)
        if seen >= STATISTICS_IMAGES:
            break
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
