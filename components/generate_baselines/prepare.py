"""What each method changes before the base model samples: its prompts, its text or its weights."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors.torch import load_file, save_file

from fairness_core import baselines
from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import AttributeClassifier
from fairness_core.config import Baselines
from fairness_core.diffusion import DiffusionStack
from fairness_core.evaluation import Sampling
from fairness_core.faces import FaceDetector
from fairness_core.prompts import prompt_spaces
from fairness_core.runtime.artifacts import read_json, write_json
from fairness_core.runtime.logs import get_logger

__all__ = ["Judges", "applied", "check_model", "prepare"]

FACTS = "preparation.json"
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Judges:
    """What uce measures its edits with: the networks that training is paid by."""

    detector: FaceDetector
    classifier: AttributeClassifier


def check_model(methods: Sequence[str], stack: DiffusionStack) -> None:
    """Refuse a model that some method has no way to, before another one has sampled for hours.

    Raises:
        ModelError: uce or debiasvl is among the methods, and the model is not Stable Diffusion 1.x
            or 2.x.
    """
    if set(methods) - {"intervention"}:
        baselines.require_text_unet(stack)


def prepare(
    method: str,
    stack: DiffusionStack,
    catalog: pd.DataFrame,
    space: AttributeSpace,
    section: Baselines,
    judges: Judges,
    search: Sampling,
    folder: Path,
    recipe: Mapping[str, Any],
) -> dict[str, Any]:
    """Make what the method needs and keep it in the folder; one already there is not made again.

    Args:
        method: ``intervention``, ``debiasvl`` or ``uce``.
        stack: The base model; uce leaves it edited.
        catalog: The checked prompts.
        space: The attributes that are to be balanced, with their targets.
        section: Parameters.
        judges: Networks that measure.
        search: How uce's rounds are sampled.
        folder: Where ``preparation.json`` and weights go.
        recipe: Everything that decides the result.

    Returns:
        ``seconds``, ``network_forwards``, ``network_backwards`` and what the method has to say.
    """
    if (folder / FACTS).is_file():
        facts: dict[str, Any] = read_json(folder / FACTS)
        if facts["recipe"] == dict(recipe):
            return facts
    folder.mkdir(parents=True, exist_ok=True)
    stack.calls.reset()
    began = time.monotonic()
    if method == "intervention":
        told, weights = _intervention(stack, catalog, space, section)
    elif method == "debiasvl":
        told, weights = _debiasvl(stack, catalog, space, section)
    else:
        told, weights = _uce(stack, catalog, space, section, judges, search)
    facts = {
        "seconds": time.monotonic() - began,
        "network_forwards": stack.calls.forwards,
        "network_backwards": stack.calls.backwards,
        **told,
        "recipe": dict(recipe),
    }
    if weights:
        save_file(weights, folder / WEIGHTS)
    write_json(facts, folder / FACTS)
    return facts


@contextmanager
def applied(
    method: str,
    stack: DiffusionStack,
    rows: pd.DataFrame,
    catalog: pd.DataFrame,
    space: AttributeSpace,
    section: Baselines,
    folder: Path,
) -> Iterator[pd.DataFrame]:
    """The planned images as the method has them sampled, the model changed inside the block."""
    if method == "intervention":
        texts = baselines.intervene(catalog, section.wording, space)
        yield rows.assign(text=rows["prompt_id"].map(texts))
    elif method == "debiasvl":
        matrix = load_file(folder / WEIGHTS)["projection"]
        with baselines.project_text(stack, matrix):
            yield rows
    else:
        baselines.load_edit(stack, load_file(folder / WEIGHTS))
        yield rows


def _intervention(
    stack: DiffusionStack, catalog: pd.DataFrame, space: AttributeSpace, section: Baselines
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    texts = baselines.intervene(catalog, section.wording, space)
    changed = texts[texts.to_numpy() != catalog["prompt"].to_numpy()]
    unknown = baselines.broken_words(stack.tokenizer, " ".join(changed))
    if unknown:
        get_logger("baselines").warning(
            "The tokenizer has no single token for: %s; a model that never read them can't "
            "follow the wording",
            ", ".join(unknown[:20]),
        )
    example = str(changed.iloc[0]) if len(changed) else None
    return {"example": example, "words_in_pieces": unknown}, {}


def _debiasvl(
    stack: DiffusionStack, catalog: pd.DataFrame, space: AttributeSpace, section: Baselines
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    concepts = baselines.neutral_occupations(catalog, section.concepts)
    words = baselines.class_words(space, section.words)
    first, second = (
        baselines.end_states(stack, texts) for texts in baselines.pair_texts(concepts, words)
    )
    start = torch.eye(first.shape[1], dtype=torch.float64)
    if section.orthogonal:
        start = baselines.orthogonal_projection(
            baselines.end_states(stack, _class_texts(words, section))
        )
    matrix = baselines.calibrated_projection(first, second, start=start, strength=section.strength)
    gaps = (first - second).double()
    before, after = (float(part.norm(dim=1).mean()) for part in (gaps, gaps @ matrix.T))
    told = {"pairs": len(first), "pair_distance_before": before, "pair_distance_after": after}
    return told, {"projection": matrix.float().contiguous()}


def _uce(
    stack: DiffusionStack,
    catalog: pd.DataFrame,
    space: AttributeSpace,
    section: Baselines,
    judges: Judges,
    search: Sampling,
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    concepts = baselines.neutral_occupations(catalog, section.concepts)
    ids, own = concepts["prompt_id"], prompt_spaces(concepts, space)
    classes = baselines.last_states(
        stack, _class_texts(baselines.class_words(space, section.words), section)
    )
    # The classes' own keys and values stay, so that a prompt that names one still gets it.
    others = baselines.last_states(stack, section.preserve) if section.preserve else classes[:0]

    def measure(turn: int) -> torch.Tensor:
        return baselines.class_shares(
            stack,
            concepts["prompt"].tolist(),
            judges.detector,
            judges.classifier,
            space,
            search,
            images=section.images,
            turn=turn,
        )

    found = baselines.balance(
        stack,
        baselines.last_states(stack, baselines.concept_texts(concepts)),
        classes,
        torch.cat([classes, others]),
        space,
        measure,
        baselines.Balance(
            section.iterations, section.step, section.tolerance, section.regularisation
        ),
        targets=torch.stack([baselines.class_targets(own.get(i, space)) for i in ids]),
    )
    told = {"concepts": len(concepts), "gaps": list(found.gaps)}
    return told, found.state


def _class_texts(words: Mapping[str, list[str]], section: Baselines) -> list[str]:
    return [section.attribute_prompt.format(word) for names in words.values() for word in names]
