"""Prompts to the U-Net's conditioning, as stock Stable Diffusion makes it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fairness_core.diffusion.soft_prompt import prefix_ids
from fairness_core.diffusion.stack import DiffusionStack
from fairness_core.errors import PromptError

__all__ = ["encode_prompts", "tokenize"]


def tokenize(stack: DiffusionStack, prompts: Sequence[str]) -> Int[Tensor, "b t"]:
    """Compute token ids, padded to the tokenizer's full length.

    Soft tokens, where the model has them, follow the begin token of every prompt but the empty
    one; they take the place of padding, never of a prompt's own tokens.

    Args:
        stack: The model.
        prompts: At least one; the empty string is allowed (the unconditional prompt).

    Returns:
        Ids on the model's device.

    Raises:
        PromptError: No prompts, or one with more tokens than the text encoder reads, soft tokens
            included.
    """
    return _ids_and_mask(stack, prompts)[0]


def encode_prompts(stack: DiffusionStack, prompts: Sequence[str]) -> Float[Tensor, "b t d"]:
    """Compute the text encoder's last hidden states; carries a gradient where one is enabled.

    The attention mask is passed only if the text encoder's configuration asks for it, as stock
    Stable Diffusion does.

    Args:
        stack: The model.
        prompts: At least one; the empty string is the unconditional prompt of guidance.

    Returns:
        Conditioning of ``DiffusionStack.predict``, one row a prompt.

    Raises:
        PromptError: No prompts, or one with more tokens than the text encoder reads.
    """
    ids, mask = _ids_and_mask(stack, prompts)
    wants_mask = getattr(stack.text_encoder.config, "use_attention_mask", False)
    states: Tensor = stack.text_encoder(
        ids, attention_mask=mask if wants_mask else None
    ).last_hidden_state
    return states


def _ids_and_mask(
    stack: DiffusionStack, prompts: Sequence[str]
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    if isinstance(prompts, str) or not prompts:
        raise PromptError(
            "There are no prompts to encode", given=repr(prompts), do="pass a list of prompts"
        )
    length = stack.tokenizer.model_max_length
    batch = stack.tokenizer(list(prompts), padding="max_length", max_length=length)
    for prompt, row, used in zip(prompts, batch["input_ids"], batch["attention_mask"], strict=True):
        # The paper's code leaves the empty prompt of guidance as it is, and so do stock pipelines.
        prefix = prefix_ids(stack) if prompt else []
        count = sum(used) + len(prefix)
        if count > length:
            raise PromptError(
                f"A prompt has {count} tokens"
                + (f", {len(prefix)} soft tokens among them," if prefix else "")
                + f" and the text encoder reads {length}",
                given=prompt,
                do="shorten the prompt",
            )
        row[1:1], used[1:1] = prefix, [1] * len(prefix)
        del row[length:], used[length:]
    ids = torch.tensor(batch["input_ids"], device=stack.device)
    mask = torch.tensor(batch["attention_mask"], device=stack.device)
    return ids, mask
