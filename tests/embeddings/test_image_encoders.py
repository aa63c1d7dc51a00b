from __future__ import annotations

import json
import shutil

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from fairness_core.embeddings import ImageSelfEncoder, ImageTextEncoder
from fairness_core.errors import ModelError
from fairness_core.model_folders import ImageInput
from tests.embeddings.tiny_encoders import make_clip, make_dino, write_preprocessor

BOTH = ["clip", "dino"]
# Pillow rounds to 8 bits after each of its two passes: 1.5 steps of 1/255 over the smallest std.
PILLOW = 1.5 / 255 / 0.26
CLASSES = {"clip": ImageTextEncoder, "dino": ImageSelfEncoder}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoders")
    return {"clip": make_clip(root / "clip"), "dino": make_dino(root / "dino")}


@pytest.fixture
def copy(folders, tmp_path):
    return lambda kind: shutil.copytree(folders[kind], tmp_path / kind)


@pytest.fixture
def images(generator):
    coarse = torch.rand(3, 3, 8, 8, generator=generator) * 2 - 1
    # Away from the ends of the range: Pillow cuts off what bicubic resizing overshoots.
    smooth = functional.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(-1, 1) * 0.7
    return ((smooth + 1) * 127.5).round() / 127.5 - 1


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("side", [32, 64, 20])
def test_vectors_are_unit_and_tell_images_apart(kind, side, folders, images):
    encoder = CLASSES[kind].load(folders[kind])
    vectors = encoder.image(functional.interpolate(images, size=(side, side)))
    assert vectors.shape == (3, encoder.dimensions)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    cosines = vectors @ vectors.T
    assert cosines[~torch.eye(3, dtype=torch.bool)].max() < 0.999


@pytest.mark.parametrize("kind", BOTH)
def test_equals_the_stock_processor_and_model(kind, folders, images):
    """Same resize, same normalisation, same vectors; of the whole image, without its crop."""
    encoder = CLASSES[kind].load(folders[kind])
    whole = {"shortest_edge": encoder.image_input.size}
    processor = CLIPImageProcessorPil.from_pretrained(folders[kind], size=whole)
    pictures = [
        Image.fromarray(((i + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()) for i in images
    ]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    ours = encoder.image_input.prepare(images)
    torch.testing.assert_close(ours, pixels, atol=PILLOW, rtol=0)
    if kind == "clip":
        expected = encoder.model.vision_model(pixel_values=ours).pooler_output
        expected = encoder.model.visual_projection(expected)
    else:
        expected = encoder.model(pixel_values=ours).last_hidden_state[:, 0]
    expected = functional.normalize(expected, dim=-1)
    torch.testing.assert_close(encoder.image(images), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", BOTH)
def test_the_gradient_reaches_the_images_and_nothing_else(kind, folders, images):
    encoder = CLASSES[kind].load(folders[kind])
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    images = images.requires_grad_()
    goal = encoder.image(images.detach().flip(0))
    similarity = (encoder.image(images) * goal).sum()
    (gradient,) = torch.autograd.grad(similarity, images)
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        change = ((encoder.image(images + step) - encoder.image(images - step)) * goal).sum()
    torch.testing.assert_close(change, 2e-2 * gradient.norm(), rtol=0.02, atol=0)


@pytest.mark.parametrize("kind", BOTH)
def test_images_do_not_affect_each_other(kind, folders, images):
    encoder = CLASSES[kind].load(folders[kind])
    alone = torch.cat([encoder.image(image[None]) for image in images])
    torch.testing.assert_close(encoder.image(images), alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", BOTH)
def test_half_precision_folders_compute_in_float32(kind, copy, images):
    folder = copy(kind)
    path = folder / "model.safetensors"
    before = CLASSES[kind].load(folder).image(images)
    save_file({k: v.half() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
    encoder = CLASSES[kind].load(folder)
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    torch.testing.assert_close(encoder.image(images), before, atol=1e-2, rtol=0)


def test_bilinear_is_read_from_the_folder(copy, images):
    folder = copy("clip")
    write_preprocessor(folder, resample=2)
    prepared = ImageTextEncoder.load(folder).image_input
    flat = prepared.__class__(32, (0.5,) * 3, (0.5,) * 3, prepared.mode)
    expected = functional.interpolate(images, size=(32, 32), mode="bilinear", antialias=True)
    torch.testing.assert_close(flat.prepare(images), expected)


@pytest.mark.parametrize(
    ("changes", "size"),
    [
        ({"do_center_crop": False, "size": {"height": 16, "width": 16}}, 16),
        ({"crop_size": None, "size": {"shortest_edge": 48}}, 48),
        ({"crop_size": 24}, 24),
    ],
)
def test_sizes_as_image_processors_write_them(copy, changes, size):
    folder = copy("dino")
    write_preprocessor(folder, **changes)
    assert ImageSelfEncoder.load(folder).image_input.size == size


def test_a_clip_for_images_only_sees_the_same_and_reads_nothing(folders):
    whole, part = (ImageTextEncoder.load(folders["clip"], images_only=o) for o in (False, True))
    images = torch.rand(2, 3, 32, 32) * 2 - 1
    assert torch.equal(part.image(images), whole.image(images))
    sizes = [sum(p.numel() for p in encoder.parameters()) for encoder in (whole, part)]
    text = [whole.model.text_model, whole.model.text_projection]
    assert sizes[0] - sizes[1] == sum(p.numel() for module in text for p in module.parameters())
    with pytest.raises(ModelError, match="loaded without its text encoder"):
        part.text(["a nurse"])


def test_prompts_are_unit_vectors_of_their_own(folders):
    encoder = ImageTextEncoder.load(folders["clip"])
    prompts = ["a baker", "a photo of the face of a very tall baker", "a pilot"]
    together = encoder.text(prompts)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    alone = torch.cat([encoder.text([prompt]) for prompt in prompts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert (together @ together.T)[0, 2] < 0.9999


def test_prompts_equal_the_stock_model(folders):
    encoder = ImageTextEncoder.load(folders["clip"])
    model = CLIPModel.from_pretrained(folders["clip"])
    tokens = encoder.tokenizer(["a baker"], return_tensors="pt")
    expected = model(**tokens, pixel_values=torch.zeros(1, 3, 32, 32)).text_embeds
    torch.testing.assert_close(encoder.text(["a baker"]), expected, atol=1e-6, rtol=1e-5)


def test_long_prompts_are_cut_and_no_prompts_are_fine(folders):
    encoder = ImageTextEncoder.load(folders["clip"])
    long = "x " * 300
    torch.testing.assert_close(encoder.text([long]), encoder.text([long + "y"]))
    assert encoder.text([]).shape == (0, 8)


def test_prompts_in_many_batches(folders, monkeypatch):
    encoder = ImageTextEncoder.load(folders["clip"])
    prompts = [f"person {i}" for i in range(7)]
    whole = encoder.text(prompts)
    monkeypatch.setattr("fairness_core.embeddings.image_text.TEXT_BATCH", 3)
    torch.testing.assert_close(encoder.text(prompts), whole, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", r"no config\.json"),
        ("model.safetensors", "no safetensors weights"),
        ("preprocessor_config.json", r"no preprocessor_config\.json"),
    ],
)
def test_a_missing_file_is_named(kind, name, message, copy):
    folder = copy(kind)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=message):
        CLASSES[kind].load(folder)


def test_a_missing_tokenizer_is_named(copy):
    folder = copy("clip")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(ModelError, match=r"no vocab\.json"):
        ImageTextEncoder.load(folder)


def test_a_foreign_tokenizer_is_refused(copy):
    folder = copy("clip")
    path = folder / "tokenizer.json"
    entries = json.loads(path.read_text())
    vocab = entries["model"]["vocab"]
    vocab.update({f"extra{i}": len(vocab) + i for i in range(5)})
    path.write_text(json.dumps(entries))
    with pytest.raises(ModelError, match="more tokens than the text encoder"):
        ImageTextEncoder.load(folder)


@pytest.mark.parametrize("kind", BOTH)
def test_damaged_weights_are_refused(kind, copy):
    folder = copy(kind)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="Could not load the encoder"):
        CLASSES[kind].load(folder)


def test_lost_weights_are_refused(copy):
    folder = copy("dino")
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["layernorm.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, the first of them layernorm\.bias"):
        ImageSelfEncoder.load(folder)


def test_the_other_kind_of_model_is_refused(folders):
    with pytest.raises(ModelError, match="type 'dinov2', not 'clip'"):
        ImageTextEncoder.load(folders["dino"])
    with pytest.raises(ModelError, match="type 'clip', not 'dinov2'"):
        ImageSelfEncoder.load(folders["clip"])


@pytest.mark.parametrize(
    "changes",
    [{"resample": 0}, {"image_mean": None}, {"crop_size": {"height": 32, "width": 16}}],
)
def test_a_preprocessor_that_cannot_be_followed_is_refused(copy, changes):
    folder = copy("dino")
    write_preprocessor(folder, **changes)
    with pytest.raises(ModelError, match="does not describe a square RGB input"):
        ImageSelfEncoder.load(folder)


def test_a_preprocessor_that_does_not_name_its_resizing_does_it_as_its_kind_does(copy):
    folder = copy("dino")
    path = folder / "preprocessor_config.json"
    entries = json.loads(path.read_text())
    path.write_text(json.dumps({name: entries[name] for name in entries if name != "resample"}))
    assert ImageSelfEncoder.load(folder).image_input.mode == "bicubic"
    assert ImageInput.read(folder).mode == "bilinear"


def test_a_damaged_preprocessor_is_named(copy):
    folder = copy("dino")
    (folder / "preprocessor_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"preprocessor_config\.json is damaged"):
        ImageSelfEncoder.load(folder)
    (folder / "preprocessor_config.json").write_text("[]")
    with pytest.raises(ModelError, match="not a JSON object"):
        ImageSelfEncoder.load(folder)
