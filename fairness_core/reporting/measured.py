"""What the page shows of the classifiers' calibration and of the training log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairness_core.attributes import AttributeSpace
from fairness_core.errors import ArtifactError
from fairness_core.metrics import parity_gaps, wilson
from fairness_core.reporting.summary import Estimate, estimate, label_of

__all__ = ["Calibration", "Curve", "Group", "calibrations", "curves"]

ROLES = {"audit": "audit", "train": "training"}


@dataclass(frozen=True)
class Group:
    """Accuracy on one group of labelled faces, with a Wilson interval where its size is known."""

    name: str
    n: int | None
    accuracy: Estimate


@dataclass(frozen=True)
class Calibration:
    """One classifier and one attribute.

    Attributes:
        role: ``audit`` (measured the figures of the report) or ``training`` (inside the loss).
        attribute: Attribute name.
        overall: Accuracy over all labelled faces.
        ece: Expected calibration error before and after temperature scaling.
        temperature: The fitted temperature.
        groups: Accuracy for each class of the attribute itself.
        others: Accuracy for classes of other attributes and for combinations, lowest first.
        reliability: Bins with confidence, accuracy and count, empty ones left out.
    """

    role: str
    attribute: str
    overall: Group
    ece: tuple[float | None, float | None]
    temperature: float | None
    groups: tuple[Group, ...]
    others: tuple[Group, ...]
    reliability: tuple[Mapping[str, float], ...]


@dataclass(frozen=True)
class Curve:
    """One column of the training log and the width of its moving mean."""

    label: str
    x: np.ndarray
    y: np.ndarray
    smooth: int


def calibrations(raw: Mapping[str, Any] | None, space: AttributeSpace) -> list[Calibration]:
    """Every classifier and attribute of ``calibration.json``, the audit classifier first.

    Args:
        raw: See ``ReportData.calibration``; None gives an empty list.
        space: Its attributes, in their order, are looked for.

    Raises:
        ArtifactError: The file has neither classifier, or a reliability bin lacks a key.
    """
    if raw is None:
        return []
    if not any(role in raw for role in ROLES):
        raise ArtifactError(
            "The calibration file has neither an audit nor a training classifier",
            given=sorted(raw),
            do="repeat calibrate_classifier",
        )
    return [
        _calibration(role, name, raw[key][name])
        for key, role in ROLES.items()
        for name in space.names
        if name in (raw.get(key) or {})
    ]


def _calibration(role: str, attribute: str, entry: Mapping[str, Any]) -> Calibration:
    bins = entry.get("reliability") or ()
    for one in bins:
        missing = {"confidence", "accuracy", "count"} - set(one)
        if missing:
            raise ArtifactError(
                f"A reliability bin of '{attribute}' lacks {', '.join(sorted(missing))}",
                given=sorted(one),
                do="repeat calibrate_classifier",
            )
    groups = {str(name): value for name, value in (entry.get("groups") or {}).items()}
    own = {name for name in groups if name.partition("=")[0] == attribute or _is_plain(name)}
    others = [_group(name, value) for name, value in groups.items() if name not in own]
    return Calibration(
        role=role,
        attribute=attribute,
        overall=_group("all", entry),
        ece=(estimate(entry.get("ece_before")).value, estimate(entry.get("ece_after")).value),
        temperature=estimate(entry.get("temperature")).value,
        groups=tuple(
            _group(name.rpartition("=")[2], value) for name, value in groups.items() if name in own
        ),
        others=tuple(sorted(others, key=_accuracy)),
        reliability=tuple(one for one in bins if one["count"] > 0),
    )


def _is_plain(name: str) -> bool:
    """Neither a class of a named attribute nor a combination of classes."""
    return "=" not in name and "/" not in name


def _accuracy(group: Group) -> float:
    return 1.0 if group.accuracy.value is None else group.accuracy.value


def _group(name: str, entry: Mapping[str, Any] | float) -> Group:
    name = name.replace("=", ": ").replace("/", " \u00b7 ")
    if not isinstance(entry, Mapping):
        return Group(name, None, estimate(entry))
    accuracy, n = estimate(entry.get("accuracy")), entry.get("n")
    if accuracy.value is None or accuracy.low is not None or not n:
        return Group(name, n, accuracy)
    low, high = wilson(round(accuracy.value * n), n)
    return Group(name, int(n), Estimate(accuracy.value, float(low), float(high)))


def curves(log: pd.DataFrame | None) -> list[Curve]:
    """Losses, biases of the batch, faces used and found; the last row wins where one repeats.

    Args:
        log: See ``ReportData.training``; None gives an empty list.

    Raises:
        ArtifactError: The log has rows but no column ``iteration``.
    """
    if log is None or log.empty:
        return []
    if "iteration" not in log.columns:
        raise ArtifactError(
            "The training log lacks the column 'iteration'",
            given=list(log.columns),
            do="repeat finetune",
        )
    rows = log.drop_duplicates("iteration", keep="last").sort_values("iteration")
    rows = rows.reset_index(drop=True)
    at = rows["iteration"].to_numpy(dtype=float)
    smooth = max(1, len(rows) // 10)
    columns = {
        **{_title("Loss", name): rows[name] for name in rows if str(name).startswith("loss")},
        **{_title("Bias of the batch", name): rows[name] for name in rows if _is(name, "bias")},
        **_batch_biases(rows),
        **{_title("Share of faces used", name): rows[name] for name in rows if _is(name, "used")},
    }
    if "face_rate" in rows:
        columns["Share of images with a face"] = rows["face_rate"]
    return [
        Curve(label, at, pd.to_numeric(values).to_numpy(dtype=float), smooth)
        for label, values in columns.items()
    ]


def _is(name: object, kind: str) -> bool:
    return str(name).startswith(f"{kind}_")


def _batch_biases(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Parity gap of the logged shares of each attribute, row by row."""
    columns: dict[str, list[str]] = {}
    for name in (str(column) for column in rows.columns):
        attribute, _, index = name.removeprefix("share_").rpartition("_")
        if _is(name, "share") and attribute and index.isdigit():
            columns.setdefault(attribute, []).append(name)
    return {
        f"Bias of the batch: {label_of(attribute)}": pd.Series(
            parity_gaps(rows[names].to_numpy(dtype=float))
        )
        for attribute, names in columns.items()
        if len(names) > 1
    }


def _title(kind: str, name: object) -> str:
    _, _, rest = str(name).partition("_")
    return f"{kind}: {label_of(rest)}" if rest else kind
