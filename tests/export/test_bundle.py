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
    add_soft_tokens,
    decode,
    encode_prompts,
    load_adapter_state,
    sample,
)
from fairness_core.errors import ArtifactError, ModelError
from fairness_core.export import (
    PLACEHOLDER,
    TOKENS_FILE,
    WEIGHTS_FILE,
    load_bundle,
    weights_sha256,
    write_bundle,
)
from tests.helpers.tiny_diffusion import make_tiny_pipeline

PROMPTS = ["a portrait of a harbour nurse", "a portrait of a bank guard"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return make_tiny_pipeline(tmp_path_factory.mktemp("base"))


def trained_state(base, *, text=True, unet=True, alpha=None, soft_tokens=0):
    """Adapters that change the images: B is not zero, soft tokens are no words."""
    stack = DiffusionStack.load(base)
    generator = torch.Generator().manual_seed(1)
    if soft_tokens:
        add_soft_tokens(stack, soft_tokens, generator=generator)
    else:
        add_lora(
            stack,
            text_encoder=LoraSpec(3, alpha) if text else None,
            unet=LoraSpec(2, alpha) if unet else None,
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


def stock(pipeline, before=""):
    pipeline.set_progress_bar_config(disable=True)
    prompts = [before + prompt for prompt in PROMPTS]
    return pipeline(
        prompts, latents=noise(), guidance_scale=3.0, num_inference_steps=4, output_type="np"
    ).images


def byte_distance(first, second):
    """A value halfway between two bytes may round to either."""
    rounded = [(images * 255).round() for images in (first, second)]
    return np.abs(rounded[0] - rounded[1]).max()


def stock_pipeline(base):
    return StableDiffusionPipeline.from_pretrained(
        str(base), local_files_only=True, use_safetensors=True, safety_checker=None
    )


BOTH, TEXT, UNET = {}, {"unet": False}, {"text": False}


@pytest.mark.parametrize(
    "parts", [BOTH, TEXT, UNET, BOTH | {"alpha": 7.5}, TEXT | {"alpha": 1}, UNET | {"alpha": 3}]
)
def test_stock_pipeline_makes_the_trained_models_images(base, tmp_path, parts):
    stack, state = trained_state(base, **parts)
    alpha = parts.get("alpha")
    write_bundle(tmp_path / "bundle", state, card="# card", facts={}, alpha=alpha)
    pipeline = stock_pipeline(base)
    before = stock(pipeline)
    pipeline.load_lora_weights(str(tmp_path / "bundle"))
    after = stock(pipeline)
    assert np.abs(after - ours(stack)).max() < 1e-5
    assert byte_distance(after, ours(stack)) <= 1
    assert np.abs(after - before).max() > 0.01
    if alpha is not None:
        write_bundle(tmp_path / "other", state, card="# card", facts={})
        other = stock_pipeline(base)
        other.load_lora_weights(str(tmp_path / "other"))
        assert np.abs(after - stock(other)).max() > 0.01


@pytest.mark.parametrize("count", [5, 1])
def test_stock_pipeline_makes_the_images_of_soft_tokens(base, tmp_path, count):
    stack, state = trained_state(base, soft_tokens=count)
    written = write_bundle(tmp_path / "bundle", state, card="# card", facts={})
    assert set(written["files"]) == {TOKENS_FILE, "README.md"}
    assert written["extra"] == {"placeholder": PLACEHOLDER}
    pipeline = stock_pipeline(base)
    before = stock(pipeline)
    pipeline.load_textual_inversion(str(tmp_path / "bundle"), local_files_only=True)
    assert np.abs(stock(pipeline) - before).max() < 1e-6
    after = stock(pipeline, f"{PLACEHOLDER} ")
    assert np.abs(after - ours(stack)).max() < 1e-5
    assert byte_distance(after, ours(stack)) <= 1
    assert np.abs(after - before).max() > 0.01


@pytest.mark.parametrize(
    ("parts", "rank", "alpha"),
    [
        (BOTH, {"text_encoder": 3, "unet": 2}, {"text_encoder": 3, "unet": 2}),
        (TEXT | {"alpha": 7.5}, {"text_encoder": 3}, {"text_encoder": 7.5}),
        ({"soft_tokens": 4}, None, None),
    ],
)
def test_load_bundle_gives_the_trained_models_images_and_freezes(
    base, tmp_path, parts, rank, alpha
):
    trained, state = trained_state(base, **parts)
    facts = {"base_sha256": weights_sha256(base)}
    write_bundle(tmp_path / "b", state, card="", facts=facts, alpha=parts.get("alpha"))
    stack = DiffusionStack.load(base)
    manifest = load_bundle(stack, tmp_path / "b", base=weights_sha256(base))
    assert manifest["extra"].get("rank") == rank
    assert manifest["extra"].get("alpha") == alpha
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
    write_bundle(tmp_path / "b", state, card="", facts={}, alpha=7.5)
    with safe_open(tmp_path / "b" / WEIGHTS_FILE, "pt") as file:
        kept = json.loads(file.metadata()["lora_adapter_metadata"])
    assert (kept["text_encoder.r"], kept["text_encoder.lora_alpha"]) == (3, 7.5)
    assert (kept["unet.r"], kept["unet.lora_alpha"]) == (2, 7.5)
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
    beside = {"soft_prompt.tokens": torch.zeros(5, 16), "unet.a.to_q.lora_A.weight": torch.ones(2)}
    with pytest.raises(ModelError, match=r"no LoRA weight .*soft_prompt\.tokens"):
        write_bundle(tmp_path / "b", beside, card="", facts={})
    assert not (tmp_path / "b").exists()


def test_soft_tokens_of_another_width_are_refused(base, tmp_path):
    state = {"soft_prompt.tokens": torch.zeros(5, 17)}
    write_bundle(tmp_path / "b", state, card="", facts={})
    with pytest.raises(ModelError, match=r"\(5, 17\) do not fit embeddings of 16 numbers"):
        load_bundle(DiffusionStack.load(base), tmp_path / "b")


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
