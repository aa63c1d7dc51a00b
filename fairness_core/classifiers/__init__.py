"""Attribute classifiers: networks, training, calibration."""

from fairness_core.classifiers.batches import Crops, in_order
from fairness_core.classifiers.build import build
from fairness_core.classifiers.calibrate import (
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from fairness_core.classifiers.fit import Epoch, History, fit
from fairness_core.classifiers.model_folder import InputFormat
from fairness_core.classifiers.network import AttributeClassifier, label_names

__all__ = [
    "AttributeClassifier",
    "Crops",
    "Epoch",
    "History",
    "InputFormat",
    "build",
    "expected_calibration_error",
    "fit",
    "fit_temperature",
    "in_order",
    "label_names",
    "reliability",
]
