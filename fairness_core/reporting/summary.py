"""The evaluation dictionary as rows: values, intervals, floors, reductions, and how they read."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairness_core.errors import ArtifactError

__all__ = [
    "NO_INTERVAL",
    "Estimate",
    "GapRow",
    "entry_of",
    "estimate",
    "gap_rows",
    "interval_text",
    "label_of",
    "models_of",
    "number",
    "percent",
]

NO_INTERVAL = "no interval given"
NO_VALUE = "not given"


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where it was not computed."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class GapRow:
    """Bias of one attribute, or of several jointly, for both models.

    Attributes:
        key: Key in the evaluation, such as ``gender_x_race``.
        base: Bias of the base model: mean over prompts, in [0, 1].
        aligned: Bias of the aligned model.
        spread: Population SD of the bias over prompts, of base and aligned.
        floors: What a sampler that draws from the target would score, for base and aligned.
        reduction: Share of the base's distance to the floor that is gone; negative if it grew.
    """

    key: str
    base: Estimate
    aligned: Estimate
    spread: tuple[float | None, float | None]
    floors: tuple[float | None, float | None]
    reduction: Estimate

    @property
    def label(self) -> str:
        """Readable name of the key."""
        return label_of(self.key)

    @property
    def floor_text(self) -> str:
        """The floor, or both floors where the two models' differ in what is printed."""
        base, aligned = (number(floor) for floor in self.floors)
        return base if base == aligned else f"{base} base, {aligned} aligned"

    @property
    def direction(self) -> str:
        """What the figure did, as printed to three digits: fell, rose or did not change."""
        if self.base.value is None or self.aligned.value is None:
            return "is incomplete"
        change = round(self.aligned.value, 3) - round(self.base.value, 3)
        return "fell" if change < 0 else "rose" if change > 0 else "did not change"


def number(value: float | None, digits: int = 3) -> str:
    """Fixed digits, or a phrase that says that there is no figure."""
    # Rounding first and adding 0 keeps a tiny negative from being written as minus zero.
    return (
        NO_VALUE
        if value is None
        else f"{round(value, digits) + 0:.{digits}f}".replace("-", "\u2212")
    )


def percent(value: float | None) -> str:
    """A share as whole percent with a no-break space."""
    return NO_VALUE if value is None else f"{number(100 * value, 0)}\u00a0%"


def interval_text(item: Estimate, *, as_percent: bool = False, digits: int = 3) -> str:
    """``low to high``, or a phrase that says that no interval was computed."""
    if item.low is None or item.high is None:
        return NO_INTERVAL
    if as_percent:
        return f"{percent(item.low)} to {percent(item.high)}"
    return f"{number(item.low, digits)} to {number(item.high, digits)}"


def label_of(key: str) -> str:
    """Readable name: ``_x_`` becomes a times sign, other underscores become spaces."""
    return " \u00d7 ".join(part.replace("_", " ") for part in key.split("_x_"))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    return float(value) if math.isfinite(value) else None


def estimate(raw: object, *, value: str = "value") -> Estimate:
    """Read a number, or a mapping with the key named and ``ci95``; null and NaN become None.

    Args:
        raw: What the evaluation holds.
        value: Key of the figure in a mapping; ``mean`` and ``value`` are read as well.

    Raises:
        ArtifactError: ``ci95`` is there and is neither null nor a pair.
    """
    if not isinstance(raw, Mapping):
        return Estimate(_finite(raw))
    found = next((raw[key] for key in (value, "value", "mean") if key in raw), None)
    interval = raw.get("ci95")
    if interval is None:
        return Estimate(_finite(found))
    if not isinstance(interval, list | tuple) or len(interval) != 2:
        raise ArtifactError(
            "An interval in the evaluation is not a pair of numbers",
            given=interval,
            do="repeat evaluate_bias",
        )
    low, high = (_finite(end) for end in interval)
    return Estimate(_finite(found), low, high)


def entry_of(figures: Mapping[str, Any], key: str) -> Estimate:
    """The figure of that key; its interval stands beside it or under ``figures["ci95"][key]``."""
    raw, intervals = figures.get(key), figures.get("ci95")
    if not isinstance(raw, Mapping) and isinstance(intervals, Mapping):
        return estimate({"value": raw, "ci95": intervals.get(key)})
    return estimate(raw)


def gap_rows(evaluation: Mapping[str, Any]) -> list[GapRow]:
    """Every bias of the evaluation, single attributes first, then joint ones, in their order.

    Raises:
        ArtifactError: The evaluation holds no bias for one of the two models.
    """
    base, aligned = models_of(evaluation)
    keys = [key for key, entry in base.items() if _is_gap(entry) and _is_gap(aligned.get(key))]
    if not keys:
        raise ArtifactError(
            "The evaluation holds no bias that both models have",
            given=sorted(base),
            do="repeat evaluate_bias",
        )
    change = evaluation.get("change") or {}
    return [
        GapRow(
            key=key,
            base=estimate(base[key], value="bias"),
            aligned=estimate(aligned[key], value="bias"),
            spread=(_finite(base[key].get("sd")), _finite(aligned[key].get("sd"))),
            floors=(_finite(base[key].get("fair_floor")), _finite(aligned[key].get("fair_floor"))),
            reduction=estimate(change.get(key), value="reduction_to_floor"),
        )
        for key in sorted(keys, key=lambda k: k.count("_x_"))
    ]


def _is_gap(entry: object) -> bool:
    return isinstance(entry, Mapping) and "bias" in entry


def models_of(evaluation: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The figures of base and aligned.

    Raises:
        ArtifactError: One of them is missing, or what goes with them is of another form.
    """
    if not all(isinstance(evaluation.get(part) or {}, Mapping) for part in ("change", "named")):
        raise ArtifactError(
            "The evaluation's change or named figures are no mapping", do="repeat evaluate_bias"
        )
    for model in ("base", "aligned"):
        if not isinstance(evaluation.get(model), Mapping):
            raise ArtifactError(
                f"The evaluation lacks the model '{model}'",
                given=sorted(evaluation),
                do="evaluate both models first",
            )
    return evaluation["base"], evaluation["aligned"]
