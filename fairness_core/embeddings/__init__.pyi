from .bank import FaceBank, weights_sha256
from .bank_files import write_bank, write_empty_bank
from .face_identity import FaceEmbedder, export_onnx
from .face_network import FACE_SIZE, FaceNetwork
from .face_pack import (
    PackEmbedder,
    load_face_embedder,
    recognition_file,
    untrained_face_embedder,
)
from .image_self import ImageSelfEncoder
from .image_text import ImageTextEncoder
from .onnx_twin import onnx_twin_gap

__all__ = [
    "FACE_SIZE",
    "FaceBank",
    "FaceEmbedder",
    "FaceNetwork",
    "ImageSelfEncoder",
    "ImageTextEncoder",
    "PackEmbedder",
    "export_onnx",
    "load_face_embedder",
    "onnx_twin_gap",
    "recognition_file",
    "untrained_face_embedder",
    "weights_sha256",
    "write_bank",
    "write_empty_bank",
]
