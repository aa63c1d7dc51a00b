"""The bundle: stock diffusers loads it and makes the same images."""

import json

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors import safe_open

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    adapter_state,
    add_lora,
    decode,
    encode_prompts,
    load_adapter_state,
    sample,
)
from fairness_core.errors import ArtifactError, ModelError
from fairness_core.export import WEIGHTS_FILE, load_bundle, weights_sha256, write_bundle
from tests.helpers.tiny_diffusion import make_tiny_pipeline

PROMPTS = ["a portrait of a harbour nurse", "a portrait of a bank guard"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_pipeline(tmp_path_factory.mktemp("base"))


def trained_state(base, *, text=True, unet=True):
    """Adapters whose B is not zero, so that they change the images."""
    stack = DiffusionStack.load(base)
    generator = torch.Generator().manual_seed(1)
    add_lora(
        stack,
        text_encoder=LoraSpec(3) if text else None,
        unet=LoraSpec(2) if unet else None,
        generator=generator,
    )
    state = {
        name: value + 0.3 * torch.randn(value.shape, generator=generator)
        for name, value in adapter_state(stack).items()
    }
    load_adapter_state(stack, state)
    return stack, state


def noise():
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def ours(stack):
    encoded = encode_prompts(stack, ["", *PROMPTS])
    path = sample(stack, noise(), encoded[1:], encoded[:1], guidance=3.0, steps=4)
    return (decode(stack, path.final) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def stock(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline(
        PROMPTS, latents=noise(), guidance_scale=3.0, num_inference_steps=4, output_type="np"
    ).images


def as_bytes(images):
    return (images * 255).round().astype(np.uint8)


@pytest.mark.parametrize("parts", [{}, {"unet": False}, {"text": False}])
def test_stock_pipeline_makes_the_trained_models_images(base, tmp_path, parts):
    stack, state = trained_state(base, **parts)
    write_bundle(tmp_path / "bundle", state, card="# card", facts={})
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(base), local_files_only=True, use_safetensors=True, safety_checker=None
    )
    before = stock(pipeline)
    pipeline.load_lora_weights(str(tmp_path / "bundle"))
    after = stock(pipeline)
    assert np.abs(after - ours(stack)).max() < 1e-5
    assert np.array_equal(as_bytes(after), as_bytes(ours(stack)))
    assert np.abs(after - before).max() > 0.01


def test_load_bundle_gives_the_trained_models_images_and_freezes(base, tmp_path):
    trained, state = trained_state(base)
    write_bundle(tmp_path / "b", state, card="", facts={"base_sha256": weights_sha256(base)})
    stack = DiffusionStack.load(base)
    manifest = load_bundle(stack, tmp_path / "b", base=weights_sha256(base))
    assert manifest["extra"]["rank"] == {"text_encoder": 3, "unet": 2}
    assert np.abs(ours(stack) - ours(trained)).max() < 1e-6
    networks = (stack.text_encoder, stack.unet)
    assert not any(p.requires_grad for network in networks for p in network.parameters())


def test_alpha_is_kept_in_the_file(base, tmp_path):
    _, state = trained_state(base)
    write_bundle(tmp_path / "b", state, card="", facts={})
    with safe_open(tmp_path / "b" / WEIGHTS_FILE, "pt") as file:
        kept = json.loads(file.metadata()["lora_adapter_metadata"])
        names = list(file.keys())
    assert (kept["text_encoder.r"], kept["text_encoder.lora_alpha"]) == (3, 3)
    assert (kept["unet.r"], kept["unet.lora_alpha"]) == (2, 2)
    # transformers before 5 has the text model one level deeper.
    assert all(n.startswith(("unet.", "text_encoder.text_model.encoder.")) for n in names)


def test_one_state_gives_one_file(base, tmp_path):
    _, state = trained_state(base)
    shuffled = dict(reversed(state.items()))
    first = write_bundle(tmp_path / "a", state, card="c", facts={"weights": "ema"})
    again = write_bundle(tmp_path / "b", shuffled, card="c", facts={"weights": "ema"})
    assert first == again
    assert first["extra"]["weights"] == "ema"
    assert set(first["files"]) == {WEIGHTS_FILE, "README.md"}


def test_a_bundle_of_another_base_is_refused(base, tmp_path):
    _, state = trained_state(base)
    write_bundle(tmp_path / "b", state, card="", facts={"base_sha256": "0" * 64})
    with pytest.raises(ModelError, match="another base model"):
        load_bundle(DiffusionStack.load(base), tmp_path / "b", base=weights_sha256(base))


def test_a_bundle_of_another_shape_is_refused(base, tmp_path):
    _, state = trained_state(base, unet=False)
    wide = {
        k: torch.zeros(5 * v.shape[0], v.shape[1]) if "lora_B" in k else v for k, v in state.items()
    }
    write_bundle(tmp_path / "b", wide, card="", facts={})
    with pytest.raises(ModelError, match="does not fit the model"):
        load_bundle(DiffusionStack.load(base), tmp_path / "b")


def test_a_damaged_bundle_is_named(base, tmp_path):
    _, state = trained_state(base, unet=False)
    write_bundle(tmp_path / "b", state, card="", facts={})
    weights = tmp_path / "b" / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ArtifactError, match=f"SHA-256.*{WEIGHTS_FILE}"):
        load_bundle(DiffusionStack.load(base), tmp_path / "b")


def test_states_that_are_no_adapter_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no adapter weights"):
        write_bundle(tmp_path / "b", {}, card="", facts={})
    with pytest.raises(ModelError, match=r"no LoRA weight .*vae\.x\.lora_A\.weight"):
        write_bundle(tmp_path / "b", {"vae.x.lora_A.weight": torch.zeros(2, 3)}, card="", facts={})
    mixed = {
        "unet.a.to_q.lora_A.weight": torch.zeros(2, 4),
        "unet.a.to_q.lora_B.weight": torch.zeros(4, 3),
    }
    with pytest.raises(ModelError, match=r"several ranks.*\[2, 3\]"):
        write_bundle(tmp_path / "b", mixed, card="", facts={})
    assert not (tmp_path / "b").exists()


def test_fingerprint_follows_weights_and_names(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "a.safetensors").write_bytes(b"1")
    first = weights_sha256(tmp_path)
    (tmp_path / "notes.txt").write_text("no weight")
    assert weights_sha256(tmp_path) == first
    (tmp_path / "unet" / "a.safetensors").rename(tmp_path / "a.safetensors")
    assert weights_sha256(tmp_path) != first
    with pytest.raises(ArtifactError, match="no safetensors"):
        weights_sha256(tmp_path / "unet")
