"""A classifier against labelled faces: its temperatures, and its accuracy by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import (
    AttributeClassifier,
    Crops,
    expected_calibration_error,
    fit_temperature,
    in_order,
    reliability,
)
from fairness_core.errors import ConfigError

__all__ = ["calibrate", "classifier_report", "label_columns"]

BATCH = 256


def label_columns(
    labels: Int[np.ndarray, "n b"], labelled: AttributeSpace, space: AttributeSpace
) -> Int[np.ndarray, "n a"]:
    """Pick the columns of the attributes asked for.

    Args:
        labels: Class indices, one column per attribute of ``labelled``.
        labelled: What the data set labels.
        space: What is asked for.

    Raises:
        ConfigError: The data set does not label an attribute with these classes in this order.
    """
    columns = []
    for attribute in space.attributes:
        known = dict(zip(labelled.names, labelled.attributes, strict=True)).get(attribute.name)
        if known is None or known.classes != attribute.classes:
            raise ConfigError(
                f"The labelled faces do not have attribute '{attribute.name}' with these classes",
                given=", ".join(attribute.classes),
                do="; ".join(f"use {a.name}: {', '.join(a.classes)}" for a in labelled.attributes),
            )
        columns.append(labelled.names.index(attribute.name))
    return labels[:, columns]


def calibrate(
    model: AttributeClassifier,
    crops: Crops,
    labels: Int[Tensor, "n a"],
    known: Bool[Tensor, "n a"] | None = None,
) -> None:
    """Set each attribute's temperature by the cross entropy on faces that were not trained on.

    Args:
        model: Changed in place.
        crops: In [-1, 1], of the model's input size.
        labels: Class indices in the order of the model's space.
        known: Which labels there are; None: all.

    Raises:
        ConfigError: No face has a label of an attribute.
    """
    model.set_temperatures(dict.fromkeys(model.space.names, 1.0))
    logits = _logits(model, crops)
    told = _told(labels, known, model.space)
    model.set_temperatures(
        {
            name: fit_temperature(logits[name][told[:, i]], labels[told[:, i], i])
            for i, name in enumerate(model.space.names)
        }
    )


def classifier_report(
    model: AttributeClassifier,
    crops: Crops,
    labels: Int[Tensor, "n a"],
    known: Bool[Tensor, "n a"] | None = None,
) -> dict[str, dict[str, Any]]:
    """Accuracy overall and by group, calibration before and after, on held-out faces.

    Args:
        model: Calibrated.
        crops: In [-1, 1], of the model's input size; neither trained nor calibrated on.
        labels: Class indices in the order of the model's space.
        known: Which labels there are; None: all. A face counts for the attributes that it has a
            label of, and in the groups whose attributes it has labels of.

    Returns:
        Attribute to ``accuracy``, ``n``, ``ece_before`` and ``ece_after`` (in [0, 1]),
        ``temperature``, ``groups`` (class of each attribute, such as ``gender=female``, and cell,
        such as ``female/light/young``, to ``accuracy`` and ``n``) and ``reliability`` (filled bins
        with ``confidence``, ``accuracy``, ``count``, after calibration).

    Raises:
        ConfigError: No face has a label of an attribute.
    """
    space = model.space
    calibrated = _logits(model, crops)
    told = _told(labels, known, space)
    every = _groups(labels.cpu().numpy(), told.cpu().numpy(), space)
    report = {}
    for i, name in enumerate(space.names):
        chosen = told[:, i]
        truth, temperature = labels[chosen, i], model.temperatures[name]
        after = calibrated[name][chosen].softmax(-1)
        before = (calibrated[name][chosen] * temperature).softmax(-1)
        groups = {group: rows[chosen.cpu().numpy()] for group, rows in every.items()}
        right = (after.argmax(-1) == truth).cpu().numpy()
        bins = reliability(after, truth)
        report[name] = {
            "accuracy": float(right.mean()),
            "n": len(right),
            "ece_before": expected_calibration_error(before, truth),
            "ece_after": expected_calibration_error(after, truth),
            "temperature": temperature,
            "groups": {
                group: {"accuracy": float(right[rows].mean()), "n": int(rows.sum())}
                for group, rows in groups.items()
                if rows.any()
            },
            "reliability": _records(bins[bins["count"] > 0]),
        }
    return report


@torch.no_grad()
def _logits(model: AttributeClassifier, crops: Crops) -> dict[str, Float[Tensor, "n k"]]:
    """Logits over the temperatures; probabilities would lose what lies far out."""
    model.eval()
    parts = [model(batch.to(model.mean.device)) for batch in in_order(crops, BATCH)]
    return model.split(torch.cat(parts).cpu())


def _told(
    labels: Int[Tensor, "n a"], known: Bool[Tensor, "n a"] | None, space: AttributeSpace
) -> Bool[Tensor, "n a"]:
    told = torch.ones_like(labels, dtype=torch.bool) if known is None else known
    counts = told.sum(dim=0).tolist()
    if 0 in counts:
        raise ConfigError(
            "An attribute has no labelled face to be measured on",
            given=dict(zip(space.names, counts, strict=True)),
        )
    return told


def _groups(
    labels: Int[np.ndarray, "n a"], told: Bool[np.ndarray, "n a"], space: AttributeSpace
) -> dict[str, Bool[np.ndarray, " n"]]:
    groups = {
        f"{attribute.name}={name}": (labels[:, i] == k) & told[:, i]
        for i, attribute in enumerate(space.attributes)
        for k, name in enumerate(attribute.classes)
    }
    if len(space.attributes) > 1:
        for cell, name in zip(space.cells, space.cell_names, strict=True):
            groups[name] = ((labels == np.asarray(cell)) & told).all(axis=1)
    return groups


def _records(bins: pd.DataFrame) -> list[dict[str, float]]:
    kept = bins[["confidence", "accuracy", "count"]]
    return [
        {str(key): float(value) for key, value in row.items()} for row in kept.to_dict("records")
    ]
