from __future__ import annotations

import pytest
import torch
from torch import nn

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import build, fit
from fairness_core.classifiers.augment import augment, gaussian_blur
from fairness_core.errors import ConfigError

SPACE = AttributeSpace.from_mapping(
    {"tone": {"classes": ["dark", "light"]}, "shape": {"classes": ["small", "wide", "tall"]}}
)


def drawings(count, seed):
    """Rectangles on noise: their tone and their shape are the two labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack(
        [torch.randint(k, (count,), generator=generator) for k in SPACE.sizes], dim=1
    )
    images = torch.rand(count, 3, 32, 32, generator=generator) * 0.6 - 0.3
    for image, (tone, shape) in zip(images, labels.tolist(), strict=True):
        width, height = ((6, 6), (18, 8), (8, 18))[shape]
        left, top = 16 - width // 2, 16 - height // 2
        image[:, top : top + height, left : left + width] += (-0.6, 0.6)[tone]
    return images, labels


def accuracy(model, images, labels):
    predicted = model.predict(images)
    return [
        (predicted[name].argmax(-1) == labels[:, i]).double().mean().item()
        for i, name in enumerate(SPACE.names)
    ]


@pytest.mark.parametrize(("kind", "epochs"), [("resnet", 4), ("mobilenet", 3)])
def test_fit_learns_every_attribute_and_ends_ready_to_predict(kind, epochs, generator):
    images, labels = drawings(320, seed=1)
    model = build(kind, SPACE, 32, generator)
    seen = []
    state = torch.get_rng_state()
    history = fit(
        model,
        images,
        labels,
        epochs=epochs,
        batch_size=16,
        lr=3e-3,
        generator=generator,
        on_epoch=seen.append,
    )
    assert torch.equal(torch.get_rng_state(), state), "the global generator is untouched"
    assert tuple(seen) == history.epochs
    assert [(e.number, e.of) for e in seen] == [(i + 1, epochs) for i in range(epochs)]
    assert seen[-1].loss < 0.5 * seen[0].loss
    assert set(seen[-1].accuracy) == set(SPACE.names)
    assert not model.training
    test_images, test_labels = drawings(200, seed=2)
    assert min(accuracy(model, test_images, test_labels)) > 0.95
    # Generated faces are softer than training images.
    soft = gaussian_blur(test_images, torch.full((200,), 0.9), 0.9)
    assert min(accuracy(model, soft, test_labels)) > 0.9


def test_the_same_generator_gives_the_same_weights():
    images, labels = drawings(40, seed=1)

    def train(seed):
        generator = torch.Generator().manual_seed(seed)
        model = build("mobilenet", SPACE, 32, generator)
        fit(model, images, labels, epochs=1, batch_size=16, lr=1e-3, generator=generator)
        return model.state_dict()

    one, same, other = train(0), train(0), train(1)
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_a_frozen_model_stays_frozen_and_learns(generator):
    images, labels = drawings(16, seed=1)
    model = build("resnet", SPACE, 32, generator).requires_grad_(False)
    before = model.network.classifier[1].weight.clone()
    fit(model, images, labels, epochs=1, batch_size=8, lr=1e-2, generator=generator)
    assert not any(p.requires_grad for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())
    assert not torch.equal(model.network.classifier[1].weight, before)


def test_batch_norm_statistics_are_those_of_all_images(generator):
    """MobileNet's own running averages keep 0.03 % of what went before the last batch."""
    images, labels = drawings(64, seed=1)
    model = build("mobilenet", SPACE, 32, generator)
    fit(model, images, labels, epochs=1, batch_size=16, lr=1e-9, generator=generator, augment=False)
    first = model.network.mobilenet_v1.conv_stem
    assert isinstance(first.normalization, nn.BatchNorm2d)
    assert first.normalization.momentum == pytest.approx(0.9997)
    with torch.no_grad():
        expected = first.convolution(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(first.normalization.running_mean, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.full((4, 2), 3)}, "one class index of each attribute"),
        ({"labels": torch.full((4, 2), -1)}, "one class index of each attribute"),
        ({"labels": torch.zeros(4, 1, dtype=torch.long)}, "one class index of each attribute"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 1}, "batch_size=1"),
        ({"lr": 0.0}, "lr=0.0"),
    ],
)
def test_fit_refuses_what_it_cannot_use(change, message, generator):
    images, labels = drawings(4, seed=1)
    settings = {"labels": labels, "epochs": 1, "batch_size": 2, "lr": 1e-3} | change
    model = build("mobilenet", SPACE, 32, generator)
    with pytest.raises(ConfigError, match=message):
        fit(model, images, generator=generator, **settings)


def test_augmentation_changes_images_within_bounds(generator):
    images, _ = drawings(64, seed=3)
    kept = images.clone()
    changed = augment(images, generator)
    assert torch.equal(images, kept)
    assert changed.shape == images.shape
    assert -1 <= changed.min() < changed.max() <= 1
    difference = (changed - images).abs().mean(dim=(1, 2, 3))
    assert (difference > 0.01).all()
    assert (changed.mean(dim=(1, 2, 3)) - images.mean(dim=(1, 2, 3))).abs().max() < 0.3


def test_augmentation_mirrors_half_and_centres_on_the_original(generator):
    ramp = torch.linspace(-0.5, 0.5, 32).expand(400, 3, 32, 32).contiguous()
    changed = augment(ramp, generator).mean(dim=1)
    slope = changed[:, :, 24:].mean(dim=(1, 2)) - changed[:, :, :8].mean(dim=(1, 2))
    mirrored = (slope < 0).double().mean()
    assert 0.4 < mirrored < 0.6
    assert (slope.abs() > 0.4).all()
    assert changed.mean().abs() < 0.01


def test_blur_is_a_gaussian_of_the_asked_width():
    dot = torch.zeros(2, 3, 33, 33)
    dot[:, :, 16, 16] = 1
    soft = gaussian_blur(dot, torch.tensor([0.0, 1.5]), 3.0)
    torch.testing.assert_close(soft[0], dot[0])
    row = soft[1, 0].sum(dim=0)
    place = torch.arange(33) - 16.0
    assert row.sum() == pytest.approx(1, abs=1e-5)
    assert (row * place**2).sum().sqrt() == pytest.approx(1.5, rel=0.01)
