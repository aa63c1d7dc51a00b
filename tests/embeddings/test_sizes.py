"""CLIP and DINOv2 of the published sizes of patches, images and vectors, each prepared its way."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from tests.embeddings.tiny_encoders import make_clip, make_dino


@pytest.fixture
def images(generator):
    coarse = torch.rand(2, 3, 8, 8, generator=generator) * 2 - 1
    return functional.interpolate(coarse, size=(128, 128), mode="bicubic").clamp(-1, 1)


@pytest.mark.parametrize(
    ("side", "patch", "dimensions"), [(224, 14, 24), (224, 16, 8), (336, 14, 8)]
)
def test_clip(tmp_path, images, side, patch, dimensions):
    encoder = ImageTextEncoder.load(
        make_clip(tmp_path, side=side, patch=patch, dimensions=dimensions)
    )
    assert (encoder.image_input.size, encoder.dimensions) == (side, dimensions)
    vectors = encoder.image(images)
    pixels = functional.interpolate(images, size=(side, side), mode="bicubic", antialias=True)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([0.48, 0.45, 0.40], [0.27, 0.26, 0.28]))
    with torch.no_grad():
        output = encoder.model.vision_model(pixel_values=((pixels + 1) / 2 - mean) / std)
        expected = encoder.model.visual_projection(output.pooler_output)
    torch.testing.assert_close(
        vectors, functional.normalize(expected, dim=-1), atol=1e-5, rtol=1e-4
    )
    assert encoder.text(["a baker"]).shape == (1, dimensions)


@pytest.mark.parametrize(("side", "shown"), [(518, 224), (518, 518), (224, 224)])
def test_dino_sees_what_its_preprocessor_asks_for(tmp_path, images, side, shown):
    """Its positions are interpolated where images are smaller than those it was trained on."""
    encoder = ImageSelfEncoder.load(make_dino(tmp_path, side=side, patch=14, shown=shown))
    assert encoder.image_input.size == shown
    images.requires_grad_()
    vectors = encoder.image(images)
    assert vectors.shape == (2, encoder.dimensions)
    (gradient,) = torch.autograd.grad(vectors[:, 0].sum(), images)
    assert (gradient.abs().amax(dim=(1, 2, 3)) > 0).all()
    tokens = encoder.model(pixel_values=encoder.image_input.prepare(images)).last_hidden_state
    assert tokens.shape[1] == 1 + (shown // 14) ** 2
