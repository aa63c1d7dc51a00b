from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

from fairness_core.diffusion import (
    DiffusionStack,
    LoraSpec,
    adapter_state,
    add_lora,
    add_soft_tokens,
    disabled,
    encode_prompts,
    insert_soft_tokens,
    load_adapter_state,
    soft_tokens,
    tokenize,
    trainable,
)
from fairness_core.errors import ConfigError, ModelError, PromptError
from tests.helpers.close import EXACT, FLOAT32, assert_close
from tests.helpers.tiny_diffusion import WIDTH

Fresh = Callable[[], DiffusionStack]
NAME = "soft_prompt.tokens"


def put(stack: DiffusionStack, count: int = 5, seed: int = 0) -> None:
    add_soft_tokens(stack, count, generator=torch.Generator().manual_seed(seed))


def encoded(stack: DiffusionStack, prompts: list[str]) -> Tensor:
    return encode_prompts(stack, prompts).states


def shake(stack: DiffusionStack) -> Tensor:
    """Move the tokens away from the vocabulary."""
    (tokens,) = trainable(stack).values()
    with torch.no_grad():
        tokens += torch.randn(tokens.shape, generator=torch.Generator().manual_seed(9))
    return tokens.detach()


def test_starts_from_different_vocabulary_rows_of_the_generators_choice(
    fresh: Fresh, stack: DiffusionStack
) -> None:
    rows = stack.text_encoder.get_input_embeddings().weight.detach().clone()
    state = torch.get_rng_state()
    put(stack, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    tokens = trainable(stack)[NAME].detach()
    chosen = [int((rows == token).all(dim=1).nonzero()) for token in tokens]
    assert len(set(chosen)) == 5
    again, other = fresh(), fresh()
    put(again, seed=3)
    put(other, seed=4)
    assert torch.equal(trainable(again)[NAME], tokens)
    assert not torch.equal(trainable(other)[NAME], tokens)


def test_the_ids_follow_the_begin_token_of_every_prompt_but_the_empty_one(
    stack: DiffusionStack,
) -> None:
    before = tokenize(stack, ["a pilot", ""])
    put(stack, 3)
    ids = tokenize(stack, ["a pilot", ""])
    size = len(stack.tokenizer)
    assert ids.shape == before.shape
    assert ids[0, 1:4].tolist() == [size, size + 1, size + 2]
    assert torch.equal(ids[0, 4:], before[0, 1:-3])
    assert torch.equal(ids[1], before[1])


def test_equals_the_stock_pipelines_textual_inversion(fresh: Fresh, stack: DiffusionStack) -> None:
    """Prompts of several words and signs, so that tokenizing beside added tokens is compared."""
    prompts = ["a photo of a nurse", "A pilot, smiling!", "x"]
    put(stack)
    tokens = shake(stack)
    other = fresh()
    other.tokenizer = type(other.tokenizer)(
        vocab=dict(other.tokenizer.get_vocab()), merges=[], model_max_length=77
    )
    pipeline = other.pipeline()
    pipeline.load_textual_inversion({"<soft>": tokens})
    expected, empty = pipeline.encode_prompt(
        [f"<soft> {prompt}" for prompt in prompts], stack.device, 1, True
    )
    assert_close(encoded(stack, prompts), expected, FLOAT32)
    assert_close(encoded(stack, [""]), empty[:1], FLOAT32)


def test_the_mask_of_a_text_encoder_that_asks_for_one_covers_the_prefix(
    stack: DiffusionStack,
) -> None:
    stack.text_encoder.config.use_attention_mask = True
    put(stack)
    shake(stack)
    with_mask = encoded(stack, ["a pilot"])[0, :10].detach()
    stack.text_encoder.config.use_attention_mask = False
    # Causal attention: up to the end token the padding's mask changes nothing.
    assert_close(with_mask, encoded(stack, ["a pilot"])[0, :10], FLOAT32)


def test_disabled_is_the_frozen_model_bit_for_bit(stack: DiffusionStack) -> None:
    prompts = ["a photo of a nurse", ""]
    with torch.no_grad():
        before = encoded(stack, prompts)
    put(stack)
    shake(stack)
    tuned = encoded(stack, prompts)
    assert tuned.requires_grad
    with disabled(stack), disabled(stack):
        frozen = encoded(stack, prompts)
    assert not frozen.requires_grad
    assert torch.equal(frozen, before)
    assert not torch.allclose(tuned[0], before[0])
    assert torch.equal(tuned[1], before[1])
    assert_close(encoded(stack, prompts), tuned, EXACT)


def test_only_the_tokens_train_and_through_the_prompt_alone(stack: DiffusionStack) -> None:
    stack.unet.requires_grad_(True)
    put(stack)
    (tokens,) = trainable(stack).values()
    wanting = [
        p
        for network in (stack.text_encoder, stack.unet, stack.vae)
        for p in network.parameters()
        if p.requires_grad
    ]
    assert [id(p) for p in wanting] == [id(tokens)]
    encoded(stack, [""]).sum().backward()
    assert tokens.grad is not None
    assert torch.count_nonzero(tokens.grad) == 0
    encoded(stack, ["a pilot"]).square().sum().backward()
    assert (tokens.grad.norm(dim=1) > 0).all()


def test_a_prompt_that_no_longer_fits_is_refused(stack: DiffusionStack) -> None:
    encode_prompts(stack, ["x" * 71])
    put(stack)
    encode_prompts(stack, ["x" * 70])
    with pytest.raises(PromptError, match=r"has 78 tokens, 5 soft tokens among them.*reads 77"):
        encode_prompts(stack, ["fine", "x" * 71])


def test_state_goes_from_one_model_to_another(fresh: Fresh, stack: DiffusionStack) -> None:
    put(stack)
    shake(stack)
    state = adapter_state(stack)
    again, fewer = fresh(), fresh()
    put(again, seed=5)
    load_adapter_state(again, state)
    assert torch.equal(encoded(again, ["a pilot"]), encoded(stack, ["a pilot"]))
    put(fewer, 4)
    with pytest.raises(ModelError, match=r"shape \(5, 16\), the model's \(4, 16\).*number of tok"):
        load_adapter_state(fewer, state)


def test_half_precision_models_keep_float32_tokens(stack: DiffusionStack) -> None:
    stack.text_encoder.bfloat16()
    put(stack)
    assert trainable(stack)[NAME].dtype == torch.float32
    assert encoded(stack, ["a pilot"]).dtype == torch.bfloat16


def test_they_do_not_come_on_top_of_adapters(fresh: Fresh, stack: DiffusionStack) -> None:
    put(stack)
    other = fresh()
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(ModelError, match="adapters already"):
        put(stack)
    with pytest.raises(ModelError, match="adapters already"):
        add_lora(stack, text_encoder=LoraSpec(2), unet=None, generator=generator)
    add_lora(other, text_encoder=None, unet=LoraSpec(2), generator=generator)
    with pytest.raises(ModelError, match="adapters already"):
        put(other)
    assert soft_tokens(other) is None


@pytest.mark.parametrize("count", [0, 75])
def test_a_number_that_leaves_no_prompt_is_refused(stack: DiffusionStack, count: int) -> None:
    with pytest.raises(ConfigError, match=r"outside 1\.\.74"):
        put(stack, count)


def test_tokens_of_another_width_are_refused(stack: DiffusionStack) -> None:
    with pytest.raises(ModelError, match=r"shape \(2, 17\) do not fit embeddings of 16"):
        insert_soft_tokens(stack, torch.zeros(2, WIDTH + 1))


def test_a_tokenizer_without_a_begin_token_is_refused(stack: DiffusionStack) -> None:
    class Endless:
        bos_token_id, model_max_length = None, 77

    stack.tokenizer = Endless()
    with pytest.raises(ModelError, match="no begin token.*Endless"):
        put(stack)


def test_count_on_stable_diffusion_15_is_the_papers(stack: DiffusionStack) -> None:
    with torch.device("meta"):
        stack.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
            )
        )
    put(stack)
    assert {name: p.numel() for name, p in trainable(stack).items()} == {NAME: 3_840}
