"""Texts of concepts and classes, and the text states that stand for them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.diffusion import DiffusionStack, encode_prompts
from fairness_core.errors import ModelError, PromptError
from fairness_core.prompts import named_column, select

__all__ = [
    "class_words",
    "concept_texts",
    "end_states",
    "last_states",
    "neutral_occupations",
    "pair_texts",
    "require_text_unet",
]

BATCH = 64  # texts per call of the text encoder


def neutral_occupations(prompts: pd.DataFrame, limit: int | None = None) -> pd.DataFrame:
    """Training occupations whose prompt names no class: what the baselines may learn from.

    Args:
        prompts: The checked catalog.
        limit: How many at most, the catalog's first; None: all.

    Raises:
        PromptError: There is none.
    """
    rows = select(prompts, "train", "occupation")
    columns = [name for name in rows.columns if str(name).startswith(named_column(""))]
    rows = rows[rows[columns].isna().all(axis=1)].reset_index(drop=True)
    if rows.empty:
        raise PromptError(
            "Every training occupation names a class of an attribute",
            do="add neutral occupations to the catalog",
        )
    return rows.head(limit) if limit is not None else rows


def concept_texts(prompts: pd.DataFrame) -> list[str]:
    """Each prompt up to the end of its subject, whose last token stands for the concept.

    The text encoder is causal, so that token's state is the very one that the whole prompt has.

    Raises:
        PromptError: A subject does not occur in its prompt.
    """
    return [head + subject for head, subject in _split(prompts)]


def class_words(space: AttributeSpace, words: Mapping[str, str]) -> dict[str, list[str]]:
    """Words that ask for each class, by attribute: those given, or else the class's name."""
    return {a.name: [words.get(name, name) for name in a.classes] for a in space.attributes}


def pair_texts(
    prompts: pd.DataFrame, words: Mapping[str, Sequence[str]]
) -> tuple[list[str], list[str]]:
    """Texts that differ in one class only: every two classes of an attribute, for each concept.

    Args:
        prompts: Rows of concepts; the words are put before the subject.
        words: From `class_words`.

    Raises:
        PromptError: A subject does not occur in its prompt.
    """
    first, second = [], []
    for head, subject in _split(prompts):
        for names in words.values():
            for one, other in itertools.combinations(names, 2):
                first.append(f"{head}{one} {subject}")
                second.append(f"{head}{other} {subject}")
    return first, second


def _split(prompts: pd.DataFrame) -> list[tuple[str, str]]:
    """What stands before each subject, and the subject as the prompt writes it."""
    found = []
    for prompt, subject in zip(prompts["prompt"], prompts["subject"], strict=True):
        at = prompt.casefold().find(subject.casefold()) if subject else -1
        if at < 0:
            raise PromptError(
                "A training prompt does not hold its subject",
                given=f"prompt '{prompt}', subject '{subject}'",
                do="correct the catalog",
            )
        found.append((prompt[:at], prompt[at : at + len(subject)]))
    return found


def require_text_unet(stack: DiffusionStack) -> None:
    """Refuse models that uce and debiasvl have no way to: both change what a U-Net reads.

    Raises:
        ModelError: The model has not one text encoder and a U-Net.
    """
    if list(stack.text_encoders) != ["text_encoder"] or stack.family.network != "unet":
        raise ModelError(
            "uce and debiasvl are built on one text encoder and the U-Net that reads its states",
            given=stack.family.pipeline.__name__,
            do="use Stable Diffusion 1.x or 2.x, or leave them out of baselines.methods",
        )


def last_states(stack: DiffusionStack, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    """State of each text's last token before the end token, on the CPU (UCE's concept)."""
    return _states(stack, texts, before_end=1)


def end_states(stack: DiffusionStack, texts: Sequence[str]) -> Float[Tensor, "n d"]:
    """State of each text's end token, scaled to unit length, on the CPU (debiasVL's embedding)."""
    return torch.nn.functional.normalize(_states(stack, texts, before_end=0), dim=-1)


@torch.no_grad()
def _states(stack: DiffusionStack, texts: Sequence[str], *, before_end: int) -> Tensor:
    require_text_unet(stack)
    if not texts or not all(texts):
        raise PromptError(
            "A text is empty, so it has no word to take a state of", given=list(texts)
        )
    parts = []
    for start in range(0, len(texts), BATCH):
        batch = list(texts[start : start + BATCH])
        states = encode_prompts(stack, batch).states.float().cpu()
        lengths = torch.tensor([len(ids) for ids in stack.tokenizer(batch)["input_ids"]])
        parts.append(states[torch.arange(len(batch)), lengths - 1 - before_end])
    return torch.cat(parts)
