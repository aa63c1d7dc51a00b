from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from peft import get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    adapter_state,
    add_lora,
    disabled,
    encode_prompts,
    load_adapter_state,
    trainable,
)
from fairness_core.diffusion.families.base import TEXT_TARGETS, UNET_TARGETS
from fairness_core.errors import ConfigError, ModelError
from tests.helpers.close import FLOAT32_SUM, assert_close

Fresh = Callable[[], DiffusionStack]


def adapt(
    stack: DiffusionStack, *, seed: int = 0, text: int | None = 2, unet: int | None = 2
) -> None:
    add_lora(
        stack,
        text_encoder=None if text is None else LoraSpec(text),
        unet=None if unet is None else LoraSpec(unet),
        generator=torch.Generator().manual_seed(seed),
    )


def shake(stack: DiffusionStack) -> None:
    """Give every adapter weight a value, B included, so that the adapters do something."""
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for parameter in trainable(stack).values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)


def outputs(stack: DiffusionStack, noise: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        embedding = encode_prompts(stack, ["a pilot"] * len(noise))
        return embedding.states, stack.predict(noise, torch.tensor(500), embedding)


def test_the_same_generator_gives_the_same_adapters(fresh: Fresh, stack: DiffusionStack) -> None:
    state = torch.get_rng_state()
    adapt(stack, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    again, other = fresh(), fresh()
    torch.rand(5)  # what the global generator did must not matter
    adapt(again, seed=3)
    adapt(other, seed=4)
    first, second, third = (trainable(s) for s in (stack, again, other))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not any(torch.equal(first[name], third[name]) for name in first if ".lora_A." in name)


def test_a_is_uniform_over_its_fan_in_and_b_zero(stack: DiffusionStack) -> None:
    adapt(stack, text=64)
    for name, parameter in trainable(stack).items():
        if ".lora_B." in name:
            assert torch.count_nonzero(parameter) == 0
            continue
        bound = parameter.shape[1] ** -0.5
        assert parameter.abs().max() <= bound
        if name.startswith("text_encoder"):
            assert parameter.abs().max() > 0.9 * bound
            # sd of a uniform distribution on +-b is b/sqrt(3); at least 1024 draws
            assert parameter.std().item() == pytest.approx(bound / 3**0.5, rel=0.1)


def test_starts_as_the_frozen_model(stack: DiffusionStack, noise: Tensor) -> None:
    before = outputs(stack, noise)
    adapt(stack)
    for found, expected in zip(outputs(stack, noise), before, strict=True):
        assert torch.equal(found, expected)


def test_disabled_is_the_frozen_model_bit_for_bit(stack: DiffusionStack, noise: Tensor) -> None:
    before = outputs(stack, noise)
    adapt(stack)
    shake(stack)
    tuned = outputs(stack, noise)
    with disabled(stack):
        frozen = outputs(stack, noise)
    for found, expected, other in zip(frozen, before, tuned, strict=True):
        assert torch.equal(found, expected)
        assert not torch.equal(other, expected)
    for found, expected in zip(outputs(stack, noise), tuned, strict=True):
        assert torch.equal(found, expected)


def test_disabled_puts_back_what_wanted_gradients(stack: DiffusionStack) -> None:
    adapt(stack)
    names = list(trainable(stack))
    trainable(stack)[names[0]].requires_grad_(False)
    with pytest.raises(KeyError, match="inside"), disabled(stack), disabled(stack):
        raise KeyError("inside")
    wanted = {name: parameter.requires_grad for name, parameter in trainable(stack).items()}
    assert wanted == {name: name != names[0] for name in names}
    with disabled(stack):
        with disabled(stack):
            pass
        assert not any(p.requires_grad for p in stack.unet.parameters())


def test_only_the_adapters_train(stack: DiffusionStack) -> None:
    stack.unet.requires_grad_(True)
    adapt(stack)
    found = trainable(stack)
    assert list(found) == sorted(found)
    wanting = {
        id(p)
        for network in (stack.text_encoder, stack.unet, stack.vae)
        for p in network.parameters()
        if p.requires_grad
    }
    assert wanting == {id(parameter) for parameter in found.values()}


@pytest.mark.parametrize(("text", "unet"), [(2, None), (None, 2)])
def test_one_network_alone(stack: DiffusionStack, text: int | None, unet: int | None) -> None:
    adapt(stack, text=text, unet=unet)
    part = "text_encoder." if unet is None else "unet."
    assert trainable(stack)
    assert all(name.startswith(part) for name in trainable(stack))


def test_targets_are_the_attention_and_feed_forward_layers(stack: DiffusionStack) -> None:
    adapt(stack)
    layers = {name.rsplit(".lora_", 1)[0] for name in trainable(stack)}
    text = {name for name in layers if name.startswith("text_encoder.")}
    assert len(text) == 2 * len(TEXT_TARGETS)
    assert {name.rsplit(".", 1)[1] for name in text} == set(TEXT_TARGETS)
    attentions = {
        name for name, _ in stack.unet.named_modules() if name.endswith((".attn1", ".attn2"))
    }
    expected = {f"unet.{name}.{target}" for name in attentions for target in UNET_TARGETS}
    assert layers - text == expected


def test_names_are_those_that_peft_writes(stack: DiffusionStack) -> None:
    adapt(stack)
    expected = {
        f"{part}.{name}"
        for part, network in (("text_encoder", stack.text_encoder), ("unet", stack.unet))
        for name in get_peft_model_state_dict(network)
    }
    assert set(adapter_state(stack)) == expected


def test_alpha_is_the_rank(stack: DiffusionStack) -> None:
    adapt(stack, text=3, unet=5)
    assert stack.text_encoder.encoder.layers[0].mlp.fc1.scaling == {"default": 1.0}
    assert stack.unet.mid_block.attentions[0].transformer_blocks[0].attn1.to_q.scaling == {
        "default": 1.0
    }


def test_state_goes_through_a_file_exactly(
    stack: DiffusionStack, fresh: Fresh, tmp_path: Path, noise: Tensor
) -> None:
    adapt(stack)
    shake(stack)
    state = adapter_state(stack)
    save_file(state, tmp_path / "adapter.safetensors")
    again = fresh()
    adapt(again, seed=5)
    load_adapter_state(again, load_file(tmp_path / "adapter.safetensors"))
    assert all(torch.equal(adapter_state(again)[name], value) for name, value in state.items())
    for found, expected in zip(outputs(again, noise), outputs(stack, noise), strict=True):
        assert torch.equal(found, expected)


def test_state_is_a_copy(stack: DiffusionStack) -> None:
    adapt(stack)
    before = adapter_state(stack)
    kept = {name: value.clone() for name, value in before.items()}
    shake(stack)
    assert all(torch.equal(before[name], kept[name]) for name in kept)


def test_adapters_are_float32_on_a_half_precision_model(folder: Path, noise: Tensor) -> None:
    stack = DiffusionStack.load(folder, dtype=torch.bfloat16)
    adapt(stack)
    assert {p.dtype for p in trainable(stack).values()} == {torch.float32}
    assert outputs(stack, noise)[1].dtype == torch.float32


def test_state_of_other_networks_is_refused(stack: DiffusionStack) -> None:
    adapt(stack)
    state = adapter_state(stack)
    missing = sorted(state)[0]
    del state[missing]
    with pytest.raises(ModelError, match=f"differ in 1 names.*{missing}"):
        load_adapter_state(stack, state)


def test_state_of_another_rank_is_refused_whole(stack: DiffusionStack, fresh: Fresh) -> None:
    adapt(stack, text=2, unet=2)
    other = fresh()
    adapt(other, text=2, unet=3, seed=1)
    before = adapter_state(stack)
    with pytest.raises(ModelError, match=r"unet\..*has shape \(3, .*the model's \(2, "):
        load_adapter_state(stack, adapter_state(other))
    assert all(torch.equal(adapter_state(stack)[name], value) for name, value in before.items())


def test_adapters_twice_are_refused(stack: DiffusionStack) -> None:
    adapt(stack)
    with pytest.raises(ModelError, match="adapters already"):
        adapt(stack)


def test_no_adapters_are_refused(stack: DiffusionStack) -> None:
    with pytest.raises(ConfigError, match="No adapters were asked for"):
        adapt(stack, text=None, unet=None)


@pytest.mark.parametrize("alpha", [6, 1.5])
def test_another_alpha_scales_the_adapters(
    stack: DiffusionStack, fresh: Fresh, noise: Tensor, alpha: float
) -> None:
    """Scale alpha/rank: the same outputs as of B times that."""
    scaled = fresh()
    spec = LoraSpec(3, alpha)
    source = torch.Generator().manual_seed(0)
    add_lora(scaled, text_encoder=spec, unet=spec, generator=source)
    adapt(stack, text=3, unet=3)
    shake(scaled)
    shake(stack)
    with torch.no_grad():
        for name, parameter in trainable(stack).items():
            if ".lora_B." in name:
                parameter *= alpha / 3
    for found, expected in zip(outputs(scaled, noise), outputs(stack, noise), strict=True):
        assert_close(found, expected, FLOAT32_SUM)


def test_an_alpha_is_above_zero() -> None:
    with pytest.raises(ConfigError, match="alpha is above 0"):
        LoraSpec(2, 0)


def test_a_rank_is_at_least_one() -> None:
    with pytest.raises(ConfigError, match="rank is at least 1"):
        LoraSpec(0)


def test_counts_on_stable_diffusion_15_are_the_papers(stack: DiffusionStack) -> None:
    with torch.device("meta"):
        stack.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
        )
        stack.unet = UNet2DConditionModel(cross_attention_dim=768, sample_size=64)
        sizes = [sum(p.numel() for p in n.parameters()) for n in (stack.text_encoder, stack.unet)]
        adapt(stack, text=50, unet=50)
    # Of the published weights, by which the configurations are known to be theirs.
    assert sizes == [123_060_480, 859_520_964]
    found = trainable(stack)
    text = sum(p.numel() for name, p in found.items() if name.startswith("text_encoder."))
    unet = sum(p.numel() for name, p in found.items() if name.startswith("unet."))
    # Paper's reference: rank 50, all 12 layers, all 32 attentions.
    assert (text, unet) == (8_294_400, 9_964_800)
