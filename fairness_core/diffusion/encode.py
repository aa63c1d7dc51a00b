"""Prompts to the network's conditioning, as the stock pipelines make it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int
from torch import Tensor

from fairness_core.diffusion.conditioning import Conditioning
from fairness_core.diffusion.soft_prompt import prefix_ids
from fairness_core.errors import PromptError

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["encode_prompts", "ids_and_mask", "tokenize"]


def tokenize(stack: DiffusionStack, prompts: Sequence[str]) -> Int[Tensor, "b t"]:
    """Compute the first tokenizer's ids, padded to its full length.

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
    return ids_and_mask(stack.tokenizer, prompts, stack.device, prefix=prefix_ids(stack))[0]


def encode_prompts(stack: DiffusionStack, prompts: Sequence[str]) -> Conditioning:
    """Compute what the network is told of prompts; carries a gradient where one is enabled.

    Every text encoder of the model reads the same prompt.

    Args:
        stack: The model.
        prompts: At least one; the empty string is the unconditional prompt of guidance.

    Returns:
        Conditioning of ``DiffusionStack.predict``, one row a prompt.

    Raises:
        PromptError: No prompts, or one with more tokens than a text encoder reads.
    """
    return stack.family.encode(stack, prompts)


def ids_and_mask(
    tokenizer: Any,
    prompts: Sequence[str],
    device: torch.device,
    *,
    longest: int | None = None,
    prefix: Sequence[int] = (),
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    """Compute token ids padded to full length, and 1 where a token is not padding.

    Args:
        tokenizer: Of transformers.
        prompts: At least one.
        device: Where the result goes.
        longest: The length, where the pipeline's is shorter than the tokenizer's own.
        prefix: Ids that follow the begin token of every prompt but the empty one, in place of
            padding.

    Raises:
        PromptError: No prompts, or one with more tokens than the text encoder reads.
    """
    if isinstance(prompts, str) or not prompts:
        raise PromptError(
            "There are no prompts to encode", given=repr(prompts), do="pass a list of prompts"
        )
    length = tokenizer.model_max_length
    if longest is not None:
        length = min(length, longest)
    batch = tokenizer(list(prompts), padding="max_length", max_length=length)
    for prompt, row, used in zip(prompts, batch["input_ids"], batch["attention_mask"], strict=True):
        # The paper's code leaves the empty prompt of guidance as it is, and so do stock pipelines.
        before = list(prefix) if prompt else []
        count = sum(used) + len(before)
        if count > length:
            raise PromptError(
                f"A prompt has {count} tokens"
                + (f", {len(before)} soft tokens among them," if before else "")
                + f" and the text encoder reads {length}",
                given=prompt,
                do="shorten the prompt",
            )
        row[1:1], used[1:1] = before, [1] * len(before)
        del row[length:], used[length:]
    ids = torch.tensor(batch["input_ids"], device=device)
    mask = torch.tensor(batch["attention_mask"], device=device)
    return ids, mask
