from __future__ import annotations

import pytest
import torch

from fairness_core.diffusion import DiffusionStack, encode_prompts, tokenize
from fairness_core.errors import PromptError


def test_ids_are_padded_between_start_and_end(stack: DiffusionStack) -> None:
    ids = tokenize(stack, ["ab", ""])
    start, end = stack.tokenizer.bos_token_id, stack.tokenizer.eos_token_id
    assert ids.shape == (2, 77)
    assert ids[0, 0] == start
    assert ids[0, 3] == end
    assert ids[1].tolist() == [start] + [end] * 76


def test_equals_the_stock_pipelines_encoding(stack: DiffusionStack) -> None:
    prompts = ["a photo of a nurse", "a pilot"]
    expected, empty = stack.pipeline().encode_prompt(prompts, stack.device, 1, True)
    assert torch.equal(encode_prompts(stack, prompts).states, expected)
    assert torch.equal(encode_prompts(stack, [""]).states, empty[:1])
    assert encode_prompts(stack, prompts).pooled is None


def test_passes_the_mask_where_the_text_encoder_asks_for_it(stack: DiffusionStack) -> None:
    without = encode_prompts(stack, ["a pilot"]).states
    stack.text_encoder.config.use_attention_mask = True
    expected, _ = stack.pipeline().encode_prompt(["a pilot"], stack.device, 1, False)
    masked = encode_prompts(stack, ["a pilot"]).states
    assert torch.equal(masked, expected)
    assert not torch.equal(masked, without)


def test_carries_a_gradient_to_the_text_encoder(stack: DiffusionStack) -> None:
    assert not encode_prompts(stack, ["a pilot"]).requires_grad
    stack.text_encoder.requires_grad_(True)
    encode_prompts(stack, ["a pilot"]).states.sum().backward()
    assert stack.text_encoder.final_layer_norm.bias.grad.abs().sum() > 0


def test_no_prompts_are_refused(stack: DiffusionStack) -> None:
    with pytest.raises(PromptError, match="no prompts to encode"):
        tokenize(stack, [])


def test_one_string_is_not_a_list_of_prompts(stack: DiffusionStack) -> None:
    with pytest.raises(PromptError, match="pass a list of prompts"):
        encode_prompts(stack, "a pilot")


def test_a_prompt_that_would_be_cut_is_refused(stack: DiffusionStack) -> None:
    encode_prompts(stack, ["x" * 75])
    with pytest.raises(PromptError, match=r"A prompt has 78 tokens.*reads 77.*xxx"):
        encode_prompts(stack, ["fine", "x" * 76])
