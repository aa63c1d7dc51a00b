"""Where the targets come from, as rows of the report's facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.prompts import own_shares
from fairness_core.reporting.summary import label_of, percent

__all__ = ["target_facts", "target_text"]


def target_text(shares: Mapping[str, float]) -> str:
    """A target as text, such as ``female 50 %, male 50 %``."""
    return ", ".join(f"{name} {percent(float(share))}" for name, share in shares.items())


def target_facts(
    targets: Mapping[str, Any], prompts: pd.DataFrame, space: AttributeSpace
) -> dict[str, str]:
    """Source, date, joint table and every prompt's own target, by what the row is called.

    Args:
        targets: Section ``targets``.
        prompts: The checked catalog.
        space: The attributes with the run's targets.
    """
    facts = {"Source of the targets": targets["source"], "Date of the targets": targets["date"]}
    if space.joint is not None:
        part = space.subset(space.joint.names)
        shares = dict(zip(part.cell_names, space.joint.shares, strict=True))
        facts["Joint target: " + label_of("_x_".join(part.names))] = target_text(shares)
    texts = prompts.set_index("prompt_id")["prompt"]
    for prompt_id, own in own_shares(prompts, space).items():
        said = "; ".join(target_text(shares) for shares in own.values())
        facts[f"Target of '{texts[prompt_id]}'"] = said or "that of the run"
    return facts
