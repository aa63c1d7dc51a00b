"""Ethical intervention: the prompt itself asks for a balance (Bansal et al. 2022)."""

from __future__ import annotations

import re
import string

import pandas as pd
from transformers import CLIPTokenizer

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import PromptError
from fairness_core.prompts import named_column

__all__ = ["broken_words", "intervene"]

FIELDS = {"prompt", "subject", "classes", "attributes"}


def intervene(prompts: pd.DataFrame, wording: str, space: AttributeSpace) -> pd.Series:
    """What the model reads in place of each prompt (Bansal et al. 2022, arXiv 2210.15230).

    The authors append a sentence: ``{prompt} if all individuals can be a {subject} irrespective of
    their gender``. A prompt that names a class of an attribute stays as it is, as the intervention
    is for neutral prompts.

    Args:
        prompts: Columns prompt_id, prompt, subject, named_<attribute>.
        wording: Text with ``{prompt}`` or ``{subject}``; ``{attributes}`` becomes the attributes'
            names as in a sentence ("gender, race and age"), ``{classes}`` the class names of all of
            them, separated by spaces, for models that know words and no sentences.
        space: The attributes that are to be balanced.

    Returns:
        Texts, indexed by prompt_id.

    Raises:
        PromptError: The wording has another placeholder, or neither the prompt nor its subject.
    """
    used = {name for _, name, _, _ in string.Formatter().parse(wording) if name is not None}
    if used - FIELDS or not used & {"prompt", "subject"}:
        raise PromptError(
            "The wording of an intervention holds {prompt} or {subject}, and may hold {attributes} "
            "and {classes}",
            given=wording,
            do="write for example '{prompt}, of any {attributes}'",
        )
    columns = [name for name in prompts.columns if str(name).startswith(named_column(""))]
    named = prompts[columns].notna().any(axis=1)
    classes = " ".join(name for attribute in space.attributes for name in attribute.classes)
    *others, last = [name.replace("_", " ") for name in space.names]
    attributes = f"{', '.join(others)} and {last}" if others else last
    asked = {"classes": classes, "attributes": attributes}
    texts = [
        row.prompt if names else wording.format(prompt=row.prompt, subject=row.subject, **asked)
        for row, names in zip(prompts.itertuples(), named, strict=True)
    ]
    return pd.Series(texts, index=pd.Index(prompts["prompt_id"]), name="text", dtype="object")


def broken_words(tokenizer: CLIPTokenizer, text: str) -> list[str]:
    """Words that the tokenizer has no single token for, in order, each once.

    A model trained on few words can't have learned what the pieces of another word mean; one that
    was trained on the web often has.
    """
    words = dict.fromkeys(re.findall(r"[A-Za-z]+", text))
    return [word for word in words if len(tokenizer.tokenize(word)) > 1]
