"""Every pipeline class: encoding, sampling and decoding as stock, gradient as a plain graph."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
)
from torch import Tensor

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    accumulate_gradient,
    add_lora,
    add_soft_tokens,
    decode,
    disabled,
    encode_prompts,
    sample,
    sampler_coefficients,
    step_weights,
    trainable,
)
from fairness_core.diffusion.families.flux import pack, unpack
from fairness_core.errors import ModelError, PromptError
from tests.helpers.close import FLOAT32_SUM, GRADIENT, assert_close
from tests.helpers.tiny_families import SIDE, T5_LENGTH, TINY, copied, make_tiny

PROMPTS = ["a nurse", "a pilot, smiling"]
STEPS, GUIDANCE = 3, 3.0
SD3 = "StableDiffusion3Pipeline"
every_family = pytest.mark.parametrize("name", list(TINY))
Loaded = Callable[[str], DiffusionStack]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders by name, written once; not to be written to."""
    base = tmp_path_factory.mktemp("families")
    return functools.cache(lambda name: make_tiny(name, base / name))


@pytest.fixture(scope="module")
def loaded(folders: Callable[[str], Path]) -> Loaded:
    """Models by name; not to be changed."""
    return functools.cache(lambda name: DiffusionStack.load(folders(name)))


def noise_of(stack: DiffusionStack, n: int = 2) -> Tensor:
    return torch.randn(n, *stack.latent_shape, generator=torch.Generator().manual_seed(4))


def stock_pipeline(folder: Path, stack: DiffusionStack) -> Any:
    """The folder's own pipeline; diffusers wants to be told of parts that are left out."""
    absent = {name: None for name, part in stack.parts.items() if part is None}
    return DiffusionPipeline.from_pretrained(
        str(folder), local_files_only=True, use_safetensors=True, **absent
    )


def stock_images(pipeline: Any, stack: DiffusionStack, noise: Tensor, before: str = "") -> Tensor:
    """What the stock pipeline makes of the noise, in [-1, 1]; everything at its defaults.

    ``before`` stands before every prompt.
    """
    pipeline.set_progress_bar_config(disable=True)
    options: dict[str, Any] = {"guidance_scale": GUIDANCE, "num_inference_steps": STEPS}
    if type(pipeline).__name__ == "FluxPipeline":
        noise, options = pack(noise), options | {"max_sequence_length": T5_LENGTH}
    elif getattr(pipeline, "text_encoder_3", None) is not None:
        options["max_sequence_length"] = T5_LENGTH
    images = pipeline(
        [before + prompt for prompt in PROMPTS],
        latents=noise,
        height=stack.image_size,
        width=stack.image_size,
        output_type="pt",
        **options,
    ).images
    return images * 2 - 1


def our_images(stack: DiffusionStack, noise: Tensor) -> Tensor:
    with torch.no_grad():
        encoded = encode_prompts(stack, ["", *PROMPTS])
        path = sample(stack, noise, encoded[1:], encoded[:1], guidance=GUIDANCE, steps=STEPS)
        return decode(stack, path.final).clamp(-1, 1)


@every_family
def test_images_are_those_of_the_stock_pipeline(
    folders: Callable[[str], Path], loaded: Loaded, name: str
) -> None:
    stack = loaded(name)
    pipeline = stock_pipeline(folders(name), stack)
    assert type(pipeline) is stack.family.pipeline
    noise = noise_of(stack)
    expected = stock_images(pipeline, stack, noise)
    assert expected.shape == (2, 3, stack.image_size, stack.image_size)
    assert expected.std() > 0.01
    assert_close(our_images(stack, noise), expected, FLOAT32_SUM)
    assert_close(stock_images(stack.pipeline(), stack, noise), expected, FLOAT32_SUM)


def adapted(stack: DiffusionStack, *, text: bool = True, network: bool = True) -> DiffusionStack:
    """A copy in float64 with adapters whose every weight is set."""
    stack, generator = copied(stack), torch.Generator().manual_seed(1)
    spec = LoraSpec(2)
    add_lora(
        stack,
        text_encoder=spec if text else None,
        unet=spec if network else None,
        generator=generator,
    )
    with torch.no_grad():
        for parameter in trainable(stack).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    for network_ in (*stack.text_encoders.values(), stack.network):
        network_.double()
    return stack


def gradients(stack: DiffusionStack) -> dict[str, Tensor]:
    found = {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in trainable(stack).items()
    }
    stack.network.zero_grad(set_to_none=True)
    for encoder in stack.text_encoders.values():
        encoder.zero_grad(set_to_none=True)
    return found


def plain_gradient(stack: DiffusionStack, noise: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    """Autograd through the sampler, inputs detached; network calls as the stock pipeline's."""
    scheduler = stack.new_scheduler(STEPS)
    encoded = encode_prompts(stack, [PROMPTS[0], ""])
    text, empty = encoded[:1].expand(len(noise)), encoded[1:].expand(len(noise))
    latents = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    for timestep in scheduler.timesteps:
        inputs = latents.detach()
        if hasattr(scheduler, "scale_model_input"):
            inputs = scheduler.scale_model_input(inputs, timestep)
        output = stack.family.call(stack, inputs, timestep, text, GUIDANCE)
        if stack.family.guided:
            without = stack.family.call(stack, inputs, timestep, empty, GUIDANCE)
            output = (1 - GUIDANCE) * without + GUIDANCE * output
        latents = scheduler.step(output, timestep, latents, return_dict=False)[0]
    (latents * cotangent).sum().backward()
    return gradients(stack)


def our_gradient(stack: DiffusionStack, noise: Tensor, cotangent: Tensor) -> dict[str, Tensor]:
    encoded = encode_prompts(stack, [PROMPTS[0], ""])
    text = encoded[:1].leaf(len(noise))
    empty = encoded[1:].leaf(trains=stack.family.empty_learns)
    path = sample(stack, noise, text.detach(), empty.detach(), guidance=GUIDANCE, steps=STEPS)
    accumulate_gradient(
        stack,
        path,
        cotangent,
        embedding=text,
        empty=empty,
        guidance=GUIDANCE,
        weights=step_weights(stack, STEPS, "unadjusted"),
        indices=range(STEPS),
        scale=1.0,
    )
    encoded.backward([text, empty])
    return gradients(stack)


def without_influence(name: str, model: str) -> bool:
    """Layers whose output enters nothing, by the architectures.

    SDXL reads the states before its first encoder's last layer and nothing after it; the last
    block of SD 3 drops its text tokens, so their queries are asked for nothing.
    """
    last_of_first = model.startswith("sdxl") and name.startswith("text_encoder.")
    text_queries = model.startswith("sd3") and ".1.attn.add_q_proj" in name
    return (last_of_first and ".layers.1." in name) or text_queries


@pytest.mark.parametrize("part", ["text", "network", "both"])
@every_family
def test_gradient_is_that_of_a_plain_graph(loaded: Loaded, name: str, part: str) -> None:
    stack = adapted(loaded(name), text=part != "network", network=part != "text")
    noise = noise_of(stack).double()
    cotangent = torch.randn(noise.shape, generator=torch.Generator().manual_seed(6)).double()
    found = our_gradient(stack, noise, cotangent)
    expected = plain_gradient(stack, noise, cotangent)
    assert {n.split(".")[0] for n in found} == {
        *(stack.family.adapted if part != "network" else ()),
        *((stack.family.network,) if part != "text" else ()),
    }
    for weight, value in expected.items():
        if without_influence(weight, name):
            assert not value.any()
            assert not found[weight].any()
            continue
        assert value.norm() > 0, weight
        error = float((found[weight] - value).norm() / value.norm())
        assert error < GRADIENT.relative, (weight, error)


@every_family
def test_disabled_is_the_frozen_model(loaded: Loaded, name: str) -> None:
    stack, noise = adapted(loaded(name)), noise_of(loaded(name)).double()
    frozen = copied(loaded(name))
    for network in (*frozen.text_encoders.values(), frozen.network):
        network.double()
    tuned, before = our_images(stack, noise), our_images(frozen, noise)
    with disabled(stack):
        assert torch.equal(our_images(stack, noise), before)
    assert (tuned - before).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["sd3", "flux"])
def test_transformers_get_adapters_on_the_texts_own_projections(loaded: Loaded, name: str) -> None:
    stack = adapted(loaded(name), text=False)
    layers = {n.removeprefix("transformer.").split(".lora_")[0] for n in trainable(stack)}
    projections = (
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
        "add_q_proj",
        "add_k_proj",
        "add_v_proj",
        "to_add_out",
    )
    bare = {
        layer
        for layer, module in loaded(name).transformer.named_modules()
        if ".attn." in layer and isinstance(module, torch.nn.Linear)
    }
    assert layers == bare
    assert {p for p in projections if any(n.endswith(f".{p}") for n in layers)} == set(projections)


def test_sizes_are_those_of_the_configs(loaded: Loaded) -> None:
    for name in TINY:
        channels = 16 if name.startswith(("sd3", "flux")) else 4
        assert loaded(name).latent_shape == (channels, SIDE, SIDE)
        assert loaded(name).image_size == 4 * SIDE
    kinds = {name: loaded(name).prediction_type for name in ("sd2", "sdxl", "sd3", "flux")}
    assert kinds == {
        "sd2": "v_prediction",
        "sdxl": "epsilon",
        "sd3": "flow_prediction",
        "flux": "flow_prediction",
    }


def test_packing_is_undone(generator: torch.Generator) -> None:
    latents = torch.randn(2, 3, 4, 6, generator=generator)
    tokens = pack(latents)
    assert tokens.shape == (2, 6, 12)
    # The first token is the upper left square, channel by channel.
    assert torch.equal(tokens[0, 0], latents[0, :, :2, :2].flatten())
    assert torch.equal(unpack(tokens, 4, 6), latents)


def test_flux_is_fed_its_guidance_and_never_the_empty_prompt(loaded: Loaded) -> None:
    stack, seen = copied(loaded("flux")), []
    stack.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["guidance"]), with_kwargs=True
    )
    with torch.no_grad():
        encoded = encode_prompts(stack, [PROMPTS[0], ""])
    for guidance in (1.0, 3.5):
        seen.clear()
        stack.calls.reset()
        noise = noise_of(stack)
        sample(stack, noise, encoded[:1].expand(2), encoded[1:], guidance=guidance, steps=2)
        assert stack.calls.forwards == 2 * len(noise)
        assert [value.tolist() for value in seen] == [[guidance] * 2] * 2


def test_zeros_stand_for_the_empty_prompt_of_sdxl(loaded: Loaded) -> None:
    zeros, encoded = (
        encode_prompts(loaded(name), ["a nurse", ""]) for name in ("sdxl", "sdxl-encoded-empty")
    )
    assert not zeros.states[1].any()
    assert not zeros.pooled[1].any()
    assert torch.equal(zeros.states[0], encoded.states[0])
    assert encoded.states[1].any()
    assert not loaded("sdxl").family.empty_learns
    assert loaded("sdxl-encoded-empty").family.empty_learns


def test_flow_coefficients_follow_the_shift(loaded: Loaded) -> None:
    for name in ("sd3", "flux"):
        levels = loaded(name).new_scheduler(4).sigmas.double()
        found = sampler_coefficients(loaded(name), 4)
        assert_close(found, levels[:-1] - levels[1:], FLOAT32_SUM)
    unshifted = FlowMatchEulerDiscreteScheduler()
    assert (found - sampler_coefficients(unshifted, 4)).abs().max() > 0.01


def test_sd3_tells_a_shifting_scheduler_its_image_size(loaded: Loaded) -> None:
    stack = copied(loaded("sd3"))
    stack.scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    noise = noise_of(stack)
    assert_close(
        our_images(stack, noise), stock_images(stack.pipeline(), stack, noise), FLOAT32_SUM
    )


def test_a_scheduler_that_cannot_be_told_is_refused(loaded: Loaded) -> None:
    stack = copied(loaded("flux"))
    stack.scheduler = FlowMatchHeunDiscreteScheduler()
    with pytest.raises(ModelError, match="cannot be told mu, sigmas.*FlowMatchHeun"):
        stack.new_scheduler(3)


def test_t5_refuses_a_prompt_that_would_be_cut(loaded: Loaded) -> None:
    with pytest.raises(PromptError, match=f"tokens and the text encoder reads {T5_LENGTH}"):
        encode_prompts(loaded("flux"), ["x" * 40])


def test_t5_is_never_adapted(loaded: Loaded) -> None:
    stack = adapted(loaded("flux"))
    assert not any(p.requires_grad for p in stack.text_encoder_2.parameters())
    assert {name.split(".")[0] for name in trainable(stack)} == {"text_encoder", "transformer"}


@pytest.mark.parametrize("name", ["sdxl", "sd3-without-t5", "flux"])
def test_soft_tokens_are_refused_beside_several_outputs(loaded: Loaded, name: str) -> None:
    stack = loaded(name)
    pipeline = stack.family.pipeline.__name__
    with pytest.raises(ModelError, match=f"Soft tokens are for.*{pipeline}.*LoRA weights instead"):
        add_soft_tokens(stack, 5, generator=torch.Generator())
    assert not trainable(stack)


def changed_index(folder: Path, target: Path, **entries: Any) -> Path:
    shutil.copytree(folder, target)
    path = target / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
    return target


@pytest.mark.parametrize(
    ("name", "entries", "message"),
    [
        ("sd2", {"_class_name": "KandinskyPipeline"}, "class is not supported.*Kandinsky.*Flux"),
        ("flux", {"_class_name": SD3}, "transformer is a FluxTransformer2DModel, not a SD3"),
        ("sdxl", {"_class_name": "StableDiffusionPipeline"}, "width of the text encoder.*differ"),
        ("sdxl", {"text_encoder_2": [None, None]}, "The pipeline has no text_encoder_2"),
        ("sd3", {"transformer": ["diffusers", "FluxTransformer2DModel"]}, "transformer is a Flux"),
    ],
)  # fmt: skip
def test_a_pipeline_of_another_kind_is_one_clear_error(
    folders: Callable[[str], Path],
    tmp_path: Path,
    name: str,
    entries: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(ModelError, match=message):
        DiffusionStack.load(changed_index(folders(name), tmp_path / "model", **entries))


def test_parts_that_a_family_does_not_have_are_refused(loaded: Loaded) -> None:
    parts = {k: v for k, v in loaded("sd2").parts.items() if k != "tokenizer"}
    with pytest.raises(
        ModelError, match="parts are not those of a StableDiffusionPipeline.*tokenizer"
    ):
        DiffusionStack(**parts, scheduler=loaded("sd2").scheduler)
