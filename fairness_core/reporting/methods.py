"""Base, the methods that do not train, and aligned as rows of one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fairness_core.reporting.summary import Estimate, entry_of, estimate, gap_rows, models_of

__all__ = ["METHOD_QUALITY", "MethodRow", "method_rows_of"]

METHOD_QUALITY = (("clip_t", "CLIP-T"), ("clip_i", "CLIP-I"), ("dino", "DINO"))


@dataclass(frozen=True)
class MethodRow:
    """One model's figures.

    Attributes:
        name: ``base``, a method, or ``aligned``.
        biases: By group, in the order of ``gap_rows``.
        quality: CLIP-T, CLIP-I and DINO.
        kept: Rate at which prompts that name attributes give them.
        preparation: Seconds before the first image can be sampled; training is aligned's.
        calls: Network calls in that time, forwards and backwards, in rows of their batches.
        seconds: Seconds that sampling its images took.
    """

    name: str
    biases: tuple[Estimate, ...]
    quality: tuple[Estimate, ...]
    kept: Estimate
    preparation: Estimate
    calls: Estimate
    seconds: Estimate


def method_rows_of(evaluation: Mapping[str, Any], training: pd.DataFrame | None) -> list[MethodRow]:
    """Base first, then every method of the evaluation, aligned last; empty without methods.

    Args:
        evaluation: Contents of ``metrics/evaluation.json``.
        training: The training log, whose ``seconds`` and ``network_...`` columns are aligned's
            preparation; what it lacks is not given.

    Raises:
        ArtifactError: Base or aligned is missing.
    """
    methods = evaluation.get("baselines") or {}
    if not methods:
        return []
    base, aligned = models_of(evaluation)
    groups = [row.key for row in gap_rows(evaluation)]
    named = evaluation.get("named") or {}
    none = {"seconds": 0.0, "network_forwards": 0, "network_backwards": 0}
    rows = [_row("base", base, groups, entry_of(named, "base"), none)]
    for name, block in methods.items():
        kept = estimate(block.get("named"))
        rows.append(_row(name, block, groups, kept, block["preparation"]))
    spent = {} if training is None else {k: training[k].sum() for k in none if k in training}
    return [*rows, _row("aligned", aligned, groups, entry_of(named, "aligned"), spent)]


def _row(
    name: str,
    block: Mapping[str, Any],
    groups: list[str],
    kept: Estimate,
    spent: Mapping[str, Any],
) -> MethodRow:
    ways = [spent.get(f"network_{way}") for way in ("forwards", "backwards")]
    calls = None if None in ways else float(sum(way for way in ways if way is not None))
    return MethodRow(
        name=name,
        biases=tuple(estimate(block.get(key), value="bias") for key in groups),
        quality=tuple(entry_of(block, key) for key, _ in METHOD_QUALITY),
        kept=kept,
        preparation=estimate(float(spent["seconds"]) if "seconds" in spent else None),
        calls=Estimate(calls),
        seconds=estimate(block.get("seconds")),
    )
