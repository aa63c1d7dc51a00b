"""Face detection with the detector of a local insightface pack, many images at a time.

insightface's code is MIT; the packs that its makers publish (``buffalo_l`` and others) are for
non-commercial research. Nothing is downloaded here: the folder has to exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from fairness_core.errors import ConfigError, ModelError
from fairness_core.faces.backends.pack import detector_file, load_model
from fairness_core.faces.backends.scrfd import STRIDES, candidates
from fairness_core.faces.detect import every, join_faces, largest
from fairness_core.types import Faces

__all__ = ["InsightFaceDetector"]


class InsightFaceDetector:
    """The faces of images, by the SCRFD detector of an insightface pack folder.

    Gives what ``insightface.model_zoo.SCRFD.detect`` gives, but decodes a batch at once and, where
    the file leaves its batch size open, runs the network on a batch at once.

    Attributes:
        model: insightface's own detector object, sharing the session.
        det_size: Side of the network's square input, px.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        det_size: int,
        threshold: float = 0.5,
        device: str = "cpu",
        strict: bool = True,
        threads: int | None = None,
        batch_size: int = 64,
    ) -> None:
        """Load the first ONNX file of the folder, by name, that has nine outputs.

        Args:
            folder: An insightface pack, such as ``~/.insightface/models/buffalo_l``.
            det_size: Images are resized so that their longer side has this many px, a multiple
                of 32; the rest of the square is black.
            threshold: Lowest score of a face, in (0, 1).
            device: Where the network runs: ``cpu``, ``cuda`` or ``cuda:N``.
            strict: Whether a GPU that onnxruntime cannot use is an error; otherwise the network
                runs on the CPU, with one warning in the process's log.
            threads: CPU threads of the network; None: as many as torch uses.
            batch_size: Images in one call of the network.

        Raises:
            ConfigError: ``det_size``, ``threshold`` or ``device`` is out of range.
            ModelError: insightface is not installed, the folder or a detector in it is missing,
                the file is damaged, or it has another fixed input size.
        """
        if det_size < STRIDES[-1] or det_size % STRIDES[-1]:
            raise ConfigError(
                "The detector's size is no multiple of 32 px", given=det_size, do="use 64 or 640"
            )
        if not 0 < threshold < 1:
            raise ConfigError("The detector's threshold is not in (0, 1)", given=threshold)
        self.model = load_model(detector_file(Path(folder)), device, threads, strict)
        fixed = self.model.static_input_size
        if fixed is not None and tuple(fixed) != (det_size, det_size):
            raise ModelError(
                "The detector was exported for one input size",
                given=f"{det_size} px where it takes {fixed[0]}x{fixed[1]}",
                do=f"set det_size to {fixed[0]}" if fixed[0] == fixed[1] else "export it anew",
            )
        self.det_size, self.threshold = det_size, threshold
        open_batch = not isinstance(self.model.input_shape[0], int)
        self.batch_size = batch_size
        self._call_size = batch_size if open_batch and self.model.batched else 1

    @torch.no_grad()
    def detect(self, images: Float[Tensor, "n 3 h w"]) -> Faces:
        """Find the largest face of each image.

        Pixels are rounded to 8 bits first: an image in memory and the same image from a PNG file
        give the same faces.

        Args:
            images: In [-1, 1], on any device.

        Returns:
            Faces on the images' device, in px of the images given. Edges and landmarks are where
            insightface puts them: network px times the scale of the resizing.
        """
        height, width = images.shape[-2:]
        parts = [_no_faces()]
        for boxes, scores, points, valid in self._candidates(images):
            parts.append(largest(boxes, scores, points, (height, width), valid=valid))
        return _moved(join_faces(parts), images.device)

    @torch.no_grad()
    def detect_all(self, images: Float[Tensor, "n 3 h w"]) -> tuple[Faces, Int[Tensor, " m"]]:
        """Find every face of each image, as ``detect`` finds the largest.

        Args:
            images: In [-1, 1], on any device.

        Returns:
            Faces on the images' device and the row of each one's image, see ``FaceDetector``.
        """
        height, width = images.shape[-2:]
        parts, rows = [_no_faces()], [torch.zeros(0, dtype=torch.long)]
        for number, (boxes, scores, points, valid) in enumerate(self._candidates(images)):
            faces, row = every(boxes, scores, points, (height, width), valid=valid)
            parts.append(faces)
            rows.append(row + number * self.batch_size)
        return _moved(join_faces(parts), images.device), torch.cat(rows).to(images.device)

    def _candidates(
        self, images: Float[Tensor, "n 3 h w"]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Boxes, scores, landmarks (px of the images) and which are valid, batch by batch."""
        for batch in images.split(self.batch_size) if len(images) else ():
            pixels = ((batch.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            canvas, scale = self._canvas(pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy())
            outputs = self._run(canvas)
            boxes, scores, points, valid = candidates(
                outputs, (self.det_size, self.det_size), self.threshold
            )
            yield boxes / scale, scores, points / scale, valid

    def _canvas(
        self, images: UInt8[np.ndarray, "n h w 3"]
    ) -> tuple[UInt8[np.ndarray, "n d d 3"], float]:
        """Images resized into the upper left corner of black squares, and the scale."""
        import cv2  # comes with insightface

        count, height, width = images.shape[:3]
        size = self.det_size
        if height > width:
            across, down = int(size / (height / width)), size
        else:
            across, down = size, int(size * (height / width))
        canvas = np.zeros((count, size, size, 3), dtype=np.uint8)
        for image, place in zip(images, canvas, strict=True):
            place[:down, :across] = cv2.resize(image, (across, down))
        return canvas, down / height

    def _run(self, canvas: UInt8[np.ndarray, "n d d 3"]) -> list[Float[Tensor, "n _ _"]]:
        """The network's outputs; our images are RGB, which insightface makes of its BGR."""
        mean, std = np.float32(self.model.input_mean), np.float32(self.model.input_std)
        blob = np.ascontiguousarray(((canvas - mean) / std).transpose(0, 3, 1, 2))
        calls = [
            self.model.session.run(self.model.output_names, {self.model.input_name: part})
            for part in _chunks(blob, self._call_size)
        ]
        outputs = []
        for values in zip(*calls, strict=True):
            # A file for single images has no batch axis: (anchors, 1).
            rows = [value if value.ndim == 3 else value[None] for value in values]
            outputs.append(torch.from_numpy(np.concatenate(rows)))
        return outputs


def _chunks(
    values: Float[np.ndarray, "n 3 d d"], size: int
) -> Iterator[Float[np.ndarray, "_ 3 d d"]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _no_faces() -> Faces:
    zeros = torch.zeros(0)
    return Faces(zeros.view(0, 4), zeros.view(0, 5, 2), zeros, zeros.bool())


def _moved(faces: Faces, device: torch.device) -> Faces:
    return Faces(
        boxes=faces.boxes.to(device),
        landmarks=faces.landmarks.to(device),
        scores=faces.scores.to(device),
        present=faces.present.to(device),
    )
