"""Faces: detection, boxes, square crops and five-point alignment."""

from fairness_core.faces.boxes import area_clipped, expand_square, intersect, region_mask
from fairness_core.faces.crop import crop_faces
from fairness_core.faces.detect import FaceDetector, largest
from fairness_core.faces.warp import REFERENCE_POINTS, align_five_points, similarity

__all__ = [
    "REFERENCE_POINTS",
    "FaceDetector",
    "align_five_points",
    "area_clipped",
    "crop_faces",
    "expand_square",
    "intersect",
    "largest",
    "region_mask",
    "similarity",
]
