"""Face detectors, each behind the same protocol."""

from fairness_core.faces.backends.insightface import InsightFaceDetector

__all__ = ["InsightFaceDetector"]
