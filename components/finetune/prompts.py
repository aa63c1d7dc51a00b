"""Which prompts train, how often each is visited, what they ask for, and their own targets."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.config import Finetune
from fairness_core.errors import PromptError
from fairness_core.prompts import named_column, prompt_spaces
from fairness_core.runtime.logs import get_logger
from fairness_core.training import Validation

__all__ = ["TrainingPrompts", "training_prompts", "validation_of"]


@dataclass(frozen=True)
class TrainingPrompts:
    """What the loop visits.

    Attributes:
        texts: Prompts, each as often as it is visited in one pass, in the catalog's order.
        named: Prompts that ask for classes, and the attributes asked for that are held.
        spaces: Prompts with targets of their own, and the attributes with these targets.
    """

    texts: list[str]
    named: dict[str, list[str]]
    spaces: dict[str, AttributeSpace]


def training_prompts(
    table: pd.DataFrame,
    space: AttributeSpace,
    families: Mapping[str, int],
    held: Collection[str] = (),
) -> TrainingPrompts:
    """Prompts of split ``train``, those of each family as often as it says.

    With ``{occupation: 1, style: 6, descriptor: 20, sport: 4}`` (the paper's) one pass holds every
    occupation once and every descriptor twenty times, in an order that the loop draws.

    Args:
        table: The checked catalog.
        space: The attributes with the run's targets.
        families: Visits in one pass; a family that is not named has none.
        held: Attributes that prompts which ask for a class of them keep.

    Raises:
        PromptError: None of these families has a training prompt.
    """
    rows = table[table["split"] == "train"]
    there = rows["family"].value_counts(sort=False).to_dict()
    for family, times in families.items():
        if times and family not in there:
            get_logger("finetune").warning(
                "finetune.prompt_families names '%s', of which there is no training prompt", family
            )
    visits = rows["family"].map(families).fillna(0).astype(int)
    if not visits.any():
        raise PromptError(
            "No family of finetune.prompt_families has a training prompt",
            given=f"families {dict(families)}, training prompts {there}",
            do="name a family that has some",
        )
    rows = rows.loc[visits > 0]
    own = prompt_spaces(rows, space)
    return TrainingPrompts(
        texts=rows["prompt"].repeat(visits[visits > 0].tolist()).tolist(),
        named={
            str(row["prompt"]): [
                a for a in space.names if a in held and pd.notna(row.get(named_column(a)))
            ]
            for _, row in rows.iterrows()
        },
        spaces={
            str(prompt): own[name]
            for name, prompt in zip(rows["prompt_id"], rows["prompt"], strict=True)
            if name in own
        },
    )


def validation_of(
    section: Finetune, space: AttributeSpace, table: pd.DataFrame, seed: int
) -> Validation | None:
    """What is measured while the run trains, on the catalog's validation prompts.

    Args:
        section: Of the parameters.
        space: The attributes aligned.
        table: The checked catalog.
        seed: Of the run.

    Returns:
        None where ``finetune.validate_every`` is 0.

    Raises:
        PromptError: The catalog has no validation prompt.
        ConfigError: A limit that not even a fair sampler reaches.
    """
    if section.validate_every == 0:
        return None
    prompts = table.loc[table["split"] == "validation", "prompt"].tolist()
    if not prompts:
        raise PromptError(
            "finetune.validate_every needs prompts of split validation, and there is none",
            given=f"splits {sorted(set(table['split']))}",
            do="add some to the catalog, or set it to 0",
        )
    validation = Validation(
        prompts=prompts,
        every=section.validate_every,
        images=section.validation_images,
        steps=section.validation_steps or section.steps[1],
        seed=seed,
        stop_at=section.stop_at,
    )
    validation.check(space)
    return validation
