"""Attribute classifiers: networks, training, calibration."""

from fairness_core.classifiers.batches import Crops, in_order
from fairness_core.classifiers.build import NETWORKS, build, untrained
from fairness_core.classifiers.calibrate import (
    expected_calibration_error,
    fit_temperature,
    reliability,
)
from fairness_core.classifiers.fit import Epoch, History, fit
from fairness_core.classifiers.model_folder import load_weights
from fairness_core.classifiers.network import AttributeClassifier, label_names
from fairness_core.classifiers.ready import join_classifiers

__all__ = [
    "NETWORKS",
    "AttributeClassifier",
    "Crops",
    "Epoch",
    "History",
    "build",
    "expected_calibration_error",
    "fit",
    "fit_temperature",
    "in_order",
    "join_classifiers",
    "label_names",
    "load_weights",
    "reliability",
    "untrained",
]
