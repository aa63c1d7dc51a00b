"""The detector of a run: one, or two chained."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fairness_core.faces.backends import insightface
from fairness_core.faces.detect import ChainedDetector, FaceDetector

__all__ = ["load_detector"]


def load_detector(
    folder: str | Path,
    *,
    det_size: int,
    second: str | Path | None = None,
    second_size: int | None = None,
    device: str = "cpu",
    strict: bool = True,
) -> FaceDetector:
    """Load a detector and, if there is one, the second for images where it finds no face.

    Args:
        folder: An insightface pack.
        det_size: See ``InsightFaceDetector``.
        second: Another pack, or the same one for another size; None: one detector alone.
        second_size: The second's ``det_size``; None: the first's.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        strict: See ``InsightFaceDetector``.

    Raises:
        ConfigError: A size or the device is out of range.
        ModelError: A pack is missing or damaged.
    """
    there = partial(insightface.InsightFaceDetector, device=device, strict=strict)
    first = there(folder, det_size=det_size)
    if second is None:
        return first
    size = det_size if second_size is None else second_size
    return ChainedDetector(first, there(second, det_size=size))
