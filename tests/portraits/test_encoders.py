from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import CLIPModel, CLIPTokenizer, Dinov2Model

from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.portraits import augment, encoders
from fairness_core.portraits.contrast import contrast_texts
from fairness_core.portraits.dataset import captioned_portraits
from fairness_core.portraits.describe import describe
from fairness_core.portraits.models import WEIGHTS
from fairness_core.portraits.tokens import build_tokenizer
from tests.portraits.probes import probe_clip, probe_dino

# Half precision keeps eleven bits of every weight.
STORED = 5e-3


@pytest.fixture(scope="module")
def drawings():
    return captioned_portraits(160, "encoders-test")


@pytest.fixture(scope="module")
def tokenizer(drawings, tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"), drawings.captions)


@pytest.fixture(scope="module")
def clip(drawings, tokenizer, tmp_path_factory) -> tuple[CLIPModel, list[float], Path]:
    losses: list[float] = []
    network = encoders.train_clip(
        drawings.images,
        drawings.captions,
        tokenizer,
        size="train",
        seed=0,
        steps=80,
        batch_size=32,
        on_step=lambda step, loss: losses.append(loss),
    )
    folder = tmp_path_factory.mktemp("clip")
    encoders.save_clip(network, tokenizer, folder)
    return network, losses, folder


@pytest.fixture(scope="module")
def dino(drawings, tmp_path_factory) -> tuple[Dinov2Model, list[float], Path]:
    losses: list[float] = []
    network = encoders.train_dino(
        drawings.images,
        size="train",
        seed=0,
        steps=20,
        batch_size=16,
        on_step=lambda step, loss: losses.append(loss),
    )
    folder = tmp_path_factory.mktemp("dino")
    encoders.save_dino(network, folder)
    return network, losses, folder


def test_clip_learns_in_a_few_steps(clip, drawings):
    _, losses, folder = clip
    assert np.mean(losses[-4:]) < np.mean(losses[:4]) - 0.3
    figures = probe_clip(
        ImageTextEncoder.load(folder),
        drawings.images,
        drawings.captions,
        drawings.labels,
        drawings.present,
    )
    assert figures["first_five"] > 2 * 5 / figures["captions"]
    assert figures["own"] > figures["any"]
    assert 0 <= figures["race"] <= 1


def test_clip_folder_gives_back_the_trained_vectors(clip, drawings, tokenizer):
    network, _, folder = clip
    shown = augment.to_unit_range(drawings.images[:4])
    encoder = ImageTextEncoder.load(folder)
    assert next(encoder.parameters()).dtype == torch.float32
    with torch.no_grad():
        ours = network.get_image_features(pixel_values=shown).pooler_output
        ids = torch.tensor(tokenizer(list(drawings.captions[:4]), padding="max_length").input_ids)
        words = network.get_text_features(input_ids=ids).pooler_output
        theirs, their_words = encoder.image(shown), encoder.text(drawings.captions[:4])
    unit = torch.nn.functional.normalize
    assert torch.allclose(unit(ours, dim=1), theirs, atol=STORED)
    assert torch.allclose(unit(words, dim=1), their_words, atol=STORED)


def test_dino_learns_in_a_few_steps(dino, drawings):
    network, losses, folder = dino
    assert np.mean(losses[-4:]) < 0.85 * np.mean(losses[:4])
    encoder = ImageSelfEncoder.load(folder)
    shown = augment.to_unit_range(drawings.images[:4])
    with torch.no_grad():
        ours = network(pixel_values=shown).pooler_output
        theirs = encoder.image(shown)
    assert torch.allclose(torch.nn.functional.normalize(ours, dim=1), theirs, atol=STORED)
    figures = probe_dino(encoder, drawings.images, drawings.labels, drawings.present)
    assert figures["race"] > figures["race_chance"]
    assert figures["any"] < 0.9


@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_folders_are_small_and_stock_loading_computes_in_32_bits(kind, request):
    folder = request.getfixturevalue(kind)[2]
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json"} <= names
    assert (folder / "model.safetensors").stat().st_size < 1_800_000
    stock = {"clip": CLIPModel, "dino": Dinov2Model}[kind].from_pretrained(
        folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
    )
    assert next(stock.parameters()).dtype == torch.float32


@pytest.mark.parametrize("build", ["clip", "dino"])
def test_audit_encoder_is_another_network(build, tokenizer):
    both = [
        encoders.build_clip(tokenizer, size) if build == "clip" else encoders.build_dino(size)
        for size in ("train", "audit")
    ]
    sizes = [sum(p.numel() for p in network.parameters()) for network in both]
    assert sizes[0] != sizes[1]
    assert max(sizes) < 900_000


def test_training_depends_on_the_seed_alone(drawings):
    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(torch.seed() % 1000)
        network = encoders.train_dino(
            drawings.images[:8], size="audit", seed=seed, steps=1, batch_size=2
        )
        return torch.cat([p.flatten() for p in network.parameters()])

    first = run(1)
    assert torch.equal(first, run(1))
    assert not torch.equal(first, run(2))


def test_equal_captions_count_as_right():
    unit = torch.eye(4)[:3]
    same = torch.tensor([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]])
    pictures = unit[[0, 0, 2]]
    loss = contrast_texts(pictures, pictures, torch.tensor(30.0), same)
    assert float(loss) == pytest.approx(2 / 3 * np.log(2), abs=1e-4)
    strict = contrast_texts(unit, unit, torch.tensor(30.0), torch.eye(3))
    assert float(strict) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("size", ["train", "audit"])
@pytest.mark.parametrize("kind", ["clip", "dino"])
def test_shipped_weights_are_those_that_a_rebuild_would_train(kind, size):
    folder = WEIGHTS / (kind if size == "train" else f"{kind}-audit")
    if kind == "clip":
        words = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        network = encoders.build_clip(words, size)
    else:
        network = encoders.build_dino(size)
    with safe_open(folder / "model.safetensors", "pt") as file:
        shipped = sorted(tuple(file.get_slice(name).get_shape()) for name in list(file.keys()))
    # By shape, since the file keeps an older spelling of some names.
    assert sorted(tuple(p.shape) for p in network.parameters()) == shipped


def test_described_captions_name_what_is_drawn(drawings):
    told = describe(
        drawings.captions,
        drawings.labels,
        drawings.present,
        share=0.8,
        rng=np.random.default_rng(0),
    )
    changed = 0
    for before, after, labels, present in zip(
        drawings.captions, told, drawings.labels, drawings.present, strict=True
    ):
        words = after.split()
        for label, names in zip(labels, (("female", "male"), (), ("young", "old")), strict=True):
            for i, name in enumerate(names):
                assert name not in words or i == label
        if not present:
            assert after == before
        changed += after != " ".join(before.split())
    assert 0.4 * len(told) < changed < 0.8 * len(told)
    same = describe(
        drawings.captions,
        drawings.labels,
        drawings.present,
        share=0.0,
        rng=np.random.default_rng(0),
    )
    assert same == [" ".join(c.split()) for c in drawings.captions]
