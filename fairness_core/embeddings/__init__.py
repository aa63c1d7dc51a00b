"""Encoders of images, prompts and faces into unit vectors."""

from fairness_core.embeddings.bank import FaceBank, weights_sha256, write_bank
from fairness_core.embeddings.face_identity import (
    FACE_SIZE,
    FaceEmbedder,
    export_onnx,
    onnx_twin_gap,
)
from fairness_core.embeddings.image_self import ImageSelfEncoder
from fairness_core.embeddings.image_text import ImageTextEncoder

__all__ = [
    "FACE_SIZE",
    "FaceBank",
    "FaceEmbedder",
    "ImageSelfEncoder",
    "ImageTextEncoder",
    "export_onnx",
    "onnx_twin_gap",
    "weights_sha256",
    "write_bank",
]
