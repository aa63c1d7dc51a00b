from .bank import FaceBank, weights_sha256
from .bank_files import write_bank, write_empty_bank
from .face_identity import (
    FACE_SIZE,
    FaceEmbedder,
    export_onnx,
    onnx_twin_gap,
)
from .image_self import ImageSelfEncoder
from .image_text import ImageTextEncoder

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
    "write_empty_bank",
]
