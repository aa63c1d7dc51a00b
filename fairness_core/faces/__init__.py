"""Faces: detection, boxes, square crops and five-point alignment."""

from fairness_core.faces.boxes import area_clipped, expand_square, intersect, region_mask
from fairness_core.faces.crop import crop_faces
from fairness_core.faces.detect import ChainedDetector, FaceDetector, every, join_faces, largest
from fairness_core.faces.warp import REFERENCE_POINTS, align_five_points, similarity

__all__ = [
    "REFERENCE_POINTS",
    "ChainedDetector",
    "FaceDetector",
    "align_five_points",
    "area_clipped",
    "crop_faces",
    "every",
    "expand_square",
    "intersect",
    "join_faces",
    "largest",
    "region_mask",
    "similarity",
]
