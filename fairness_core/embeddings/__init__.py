"""Encoders of images, prompts and faces into unit vectors."""

from fairness_core.embeddings.face_identity import FaceEmbedder, export_onnx, onnx_twin_gap
from fairness_core.embeddings.image_self import ImageSelfEncoder
from fairness_core.embeddings.image_text import ImageTextEncoder

__all__ = [
    "FaceEmbedder",
    "ImageSelfEncoder",
    "ImageTextEncoder",
    "export_onnx",
    "onnx_twin_gap",
]
