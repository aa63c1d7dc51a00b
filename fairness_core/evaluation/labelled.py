"""A classifier against labelled faces: crops as a detector would cut them, accuracy by group."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers import (
    AttributeClassifier,
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from fairness_core.errors import ConfigError
from fairness_core.faces import crop_faces

__all__ = ["calibrate", "classifier_report", "jittered_crops", "label_columns"]

# Of the box's side: how far a detector's edges lie from the drawn ones.
JITTER = 0.06
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


def jittered_crops(
    images: UInt8[np.ndarray, "n h w 3"],
    boxes: Float[np.ndarray, "n 4"],
    *,
    size: int,
    generator: torch.Generator,
) -> Float[Tensor, "n 3 s s"]:
    """Cut faces out along boxes whose edges are moved at random, as a detector's would be.

    Args:
        images: RGB in 0..255.
        boxes: True boxes, px, x0 y0 x1 y1.
        size: Side of the crops, px.
        generator: Moves every edge by up to 6 % of the box's longer side, uniformly.

    Returns:
        Crops in [-1, 1].
    """
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    true = torch.from_numpy(boxes).float()
    side = (true[:, 2:] - true[:, :2]).amax(dim=1, keepdim=True)
    moved = true + (2 * torch.rand(true.shape, generator=generator) - 1) * JITTER * side
    present = torch.ones(len(true), dtype=torch.bool)
    return crop_faces(pixels, moved, present, size=size)


def calibrate(
    model: AttributeClassifier, crops: Float[Tensor, "n 3 s s"], labels: Int[Tensor, "n a"]
) -> None:
    """Set each attribute's temperature by the cross entropy on faces that were not trained on."""
    model.set_temperatures(dict.fromkeys(model.space.names, 1.0))
    logits = _logits(model, crops)
    model.set_temperatures(
        {
            name: fit_temperature(logits[name], labels[:, i])
            for i, name in enumerate(model.space.names)
        }
    )


def classifier_report(
    model: AttributeClassifier, crops: Float[Tensor, "n 3 s s"], labels: Int[Tensor, "n a"]
) -> dict[str, dict[str, Any]]:
    """Accuracy overall and by group, calibration before and after, on held-out faces.

    Args:
        model: Calibrated.
        crops: In [-1, 1], of the model's input size; neither trained nor calibrated on.
        labels: Class indices in the order of the model's space.

    Returns:
        Attribute to ``accuracy``, ``n``, ``ece_before`` and ``ece_after`` (in [0, 1]),
        ``temperature``, ``groups`` (class of each attribute, such as ``gender=female``, and cell,
        such as ``female/light/young``, to ``accuracy`` and ``n``) and ``reliability`` (filled bins
        with ``confidence``, ``accuracy``, ``count``, after calibration).
    """
    space = model.space
    calibrated = _logits(model, crops)
    groups = _groups(labels.cpu().numpy(), space)
    report = {}
    for i, name in enumerate(space.names):
        truth, temperature = labels[:, i], model.temperatures[name]
        after = calibrated[name].softmax(-1)
        before = (calibrated[name] * temperature).softmax(-1)
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
def _logits(
    model: AttributeClassifier, crops: Float[Tensor, "n 3 s s"]
) -> dict[str, Float[Tensor, "n k"]]:
    """Logits over the temperatures; probabilities would lose what lies far out."""
    model.eval()
    parts = [model(batch.to(model.mean.device)) for batch in crops.split(BATCH)]
    return model.split(torch.cat(parts).cpu())


def _groups(
    labels: Int[np.ndarray, "n a"], space: AttributeSpace
) -> dict[str, Bool[np.ndarray, " n"]]:
    groups = {
        f"{attribute.name}={name}": labels[:, i] == k
        for i, attribute in enumerate(space.attributes)
        for k, name in enumerate(attribute.classes)
    }
    if len(space.attributes) > 1:
        for cell, name in zip(space.cells, space.cell_names, strict=True):
            groups[name] = (labels == np.asarray(cell)).all(axis=1)
    return groups


def _records(bins: pd.DataFrame) -> list[dict[str, float]]:
    kept = bins[["confidence", "accuracy", "count"]]
    return [
        {str(key): float(value) for key, value in row.items()} for row in kept.to_dict("records")
    ]
