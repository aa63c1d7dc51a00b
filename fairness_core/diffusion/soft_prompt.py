"""Soft prefix tokens: trained embeddings after the begin token of every prompt.

Prompt tuning (Lester et al. 2021) on the text encoder's input, as in the paper's second experiment.
The tokens get the ids that follow the vocabulary's last, which is where stock diffusers'
``load_textual_inversion`` puts them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch.nn import Embedding, Module, Parameter
from torch.nn.functional import embedding

from fairness_core.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from fairness_core.diffusion.stack import DiffusionStack

__all__ = ["SoftTokens", "add_soft_tokens", "insert_soft_tokens", "prefix_ids", "soft_tokens"]


class SoftTokens(Module):
    """A text encoder's vocabulary with k rows behind it.

    Attributes:
        vocabulary: The model's own V rows.
        tokens: k d, float32: what ids V..V+k-1 stand for.
        active: Whether prompts get the prefix.
    """

    def __init__(self, vocabulary: Embedding, tokens: Float[Tensor, "k d"]) -> None:
        """Take the vocabulary as it is and a copy of the tokens."""
        super().__init__()
        self.vocabulary = vocabulary
        self.tokens = Parameter(tokens.detach().clone().float())
        self.active = True

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Look up both kinds of ids, in the type of the vocabulary."""
        if not self.active:
            known: Tensor = self.vocabulary(ids)
            return known
        own = ids >= self.vocabulary.num_embeddings
        embedded = self.vocabulary(ids.masked_fill(own, 0))
        rows = embedding((ids - self.vocabulary.num_embeddings).clamp(min=0), self.tokens)
        return torch.where(own[..., None], rows.to(embedded.dtype), embedded)


def soft_tokens(stack: DiffusionStack) -> SoftTokens | None:
    """The model's soft tokens, None if it has none."""
    layer = stack.text_encoder.get_input_embeddings()
    return layer if isinstance(layer, SoftTokens) else None


def prefix_ids(stack: DiffusionStack) -> list[int]:
    """Ids that go after the begin token of a prompt; empty without soft tokens in use."""
    layer = soft_tokens(stack)
    if layer is None or not layer.active:
        return []
    first = layer.vocabulary.num_embeddings
    return list(range(first, first + len(layer.tokens)))


def add_soft_tokens(stack: DiffusionStack, count: int, *, generator: torch.Generator) -> None:
    """Put k trained tokens before every prompt, at first copies of random vocabulary rows.

    Args:
        stack: Changed in place; nothing but the tokens requires a gradient after.
        count: k, at least 1.
        generator: Chooses k different rows, on the CPU.

    Raises:
        ConfigError: k is less than 1 or leaves no place for a prompt.
        ModelError: The model's class takes no soft tokens, the stack has adapters already, or its
            prompts have no begin token.
    """
    _check_bare(stack)
    # Begin, end and at least one token of the prompt's own.
    most = stack.tokenizer.model_max_length - 3
    if not 1 <= count <= most:
        raise ConfigError(
            f"The number of soft tokens is outside 1..{most}", given=count, do="use 5, say"
        )
    rows = stack.text_encoder.get_input_embeddings().weight
    chosen = torch.randperm(len(rows), generator=generator, device="cpu")[:count]
    insert_soft_tokens(stack, rows[chosen.to(rows.device)])


def insert_soft_tokens(stack: DiffusionStack, tokens: Float[Tensor, "k d"]) -> None:
    """Put these tokens before every prompt.

    Args:
        stack: Changed in place; nothing but the tokens requires a gradient after.
        tokens: Their embeddings; copied.

    Raises:
        ModelError: The model's class takes no soft tokens, the stack has adapters already, its
            prompts have no begin token, or the tokens are not as wide as its vocabulary.
    """
    _check_bare(stack)
    if stack.tokenizer.bos_token_id is None:
        raise ModelError(
            "The model's prompts have no begin token for soft tokens to follow",
            given=type(stack.tokenizer).__name__,
            do="train LoRA weights instead",
        )
    vocabulary = stack.text_encoder.get_input_embeddings()
    if tokens.ndim != 2 or tokens.shape[1] != vocabulary.embedding_dim:
        raise ModelError(
            f"Soft tokens of shape {tuple(tokens.shape)} do not fit embeddings "
            f"of {vocabulary.embedding_dim} numbers",
            do="use the model that they were trained with",
        )
    for network in (*stack.text_encoders.values(), stack.network):
        network.requires_grad_(False)
    layer = SoftTokens(vocabulary, tokens.to(vocabulary.weight.device))
    stack.text_encoder.set_input_embeddings(layer)


def _check_bare(stack: DiffusionStack) -> None:
    if not stack.family.soft_prompted:
        raise ModelError(
            "Soft tokens are for models of one text encoder whose states alone are read",
            given=stack.family.pipeline.__name__,
            do="train LoRA weights instead, or use a Stable Diffusion 1.x or 2.x",
        )
    kinds = (BaseTunerLayer, SoftTokens)
    for network in (*stack.text_encoders.values(), stack.network):
        if any(isinstance(module, kinds) for module in network.modules()):
            raise ModelError("The model has adapters already", do="load it again from its folder")
