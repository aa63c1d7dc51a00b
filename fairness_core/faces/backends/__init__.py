"""Face detectors, each behind the same protocol."""

from fairness_core.faces.backends.insightface import InsightFaceDetector
from fairness_core.faces.backends.load import load_detector

__all__ = ["InsightFaceDetector", "load_detector"]
