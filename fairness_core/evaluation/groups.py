"""What is measured of which model, and against which target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from fairness_core.attributes import AttributeSpace
from fairness_core.groups import measured_groups
from fairness_core.metrics import FaceCounts, per_prompt, wilson
from fairness_core.prompts import prompt_spaces

__all__ = ["MODELS", "QUALITY", "of_model", "prompt_table", "wanted_shares"]

MODELS = ("base", "aligned")
QUALITY = ("clip_t", "clip_i", "dino")  # columns, see ``quality_table``


def prompt_table(faces: pd.DataFrame, space: AttributeSpace, split: str) -> pd.DataFrame:
    """Shares and bias of every prompt, model and group: ``metrics.per_prompt`` with ``model``.

    Single attributes also get 95 % Wilson intervals ``low_<class>`` and ``high_<class>``.
    """
    parts = []
    for model in dict.fromkeys(faces["model"]):
        chosen = faces[(faces["split"] == split) & (faces["model"] == model)]
        for group in measured_groups(space.names):
            table = per_prompt(chosen, space, [group])
            table.insert(0, "model", model)
            if len(group) == 1:
                for name in space[group[0]].classes:
                    hits = (table[f"share_{name}"] * table["n"]).fillna(0).round()
                    table[f"low_{name}"], table[f"high_{name}"] = wilson(hits, table["n"])
            parts.append(table)
    return pd.concat(parts, ignore_index=True)


def of_model(table: pd.DataFrame, model: str) -> pd.DataFrame:
    """The rows of one model."""
    return table[table["model"] == model]


def wanted_shares(
    counts: FaceCounts, prompts: pd.DataFrame | None, space: AttributeSpace, group: Sequence[str]
) -> Float[np.ndarray, "*p k"]:
    """The group's target; one row for each prompt where some have a target of their own."""
    own = {} if prompts is None else prompt_spaces(prompts, space)
    shared = space.subset(group).cell_target
    if not set(own) & set(counts.prompts):
        return np.array(shared)
    return np.array(
        [own[name].subset(group).cell_target if name in own else shared for name in counts.prompts]
    )
