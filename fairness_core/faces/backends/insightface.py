"""Face detection with the detector of a local insightface pack, many images at a time.

insightface's code is MIT; the packs that its makers publish (``buffalo_l`` and others) are for
non-commercial research. Nothing is downloaded here: the folder has to exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fairness_core.errors import ConfigError, ModelError
from fairness_core.faces.backends.scrfd import STRIDES, candidates
from fairness_core.faces.detect import largest
from fairness_core.types import Faces

__all__ = ["InsightFaceDetector"]

OUTPUTS = 3 * len(STRIDES)
DETECTOR_NAMES = ("det", "scrfd")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class InsightFaceDetector:
    """The largest face of each image, by the SCRFD detector of an insightface pack folder.

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
        threads: int | None = None,
        batch_size: int = 64,
    ) -> None:
        """Load the first ONNX file of the folder that has nine outputs.

        Files whose names begin as published detectors' do are tried first; of a pack's other
        networks none is loaded.

        Args:
            folder: An insightface pack, such as ``~/.insightface/models/buffalo_l``.
            det_size: Images are resized so that their longer side has this many px, a multiple
                of 32; the rest of the square is black.
            threshold: Lowest score of a face, in (0, 1).
            device: Where the network runs: ``cpu`` or ``cuda``.
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
        self.model = _load(_detector_file(Path(folder)), device, threads)
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
        for batch in images.split(self.batch_size) if len(images) else ():
            pixels = ((batch.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
            canvas, scale = self._canvas(pixels.permute(0, 2, 3, 1).cpu().contiguous().numpy())
            outputs = self._run(canvas)
            boxes, scores, points, valid = candidates(
                outputs, (self.det_size, self.det_size), self.threshold
            )
            parts.append(
                largest(boxes / scale, scores, points / scale, (height, width), valid=valid)
            )
        return _joined(parts, images.device)

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


def _detector_file(folder: Path) -> Path:
    if not folder.is_dir():
        raise ModelError(
            "There is no face detector folder",
            given=folder,
            do="give the folder of an insightface pack; nothing is downloaded",
        )
    files = sorted(folder.glob("*.onnx"))
    if not files:
        raise ModelError(
            "The folder has no ONNX file, so it is no insightface pack",
            given=folder,
            do="put the detector's .onnx file there",
        )
    counts = {}
    # A pack's other networks are ten times as large: they are not read once the detector is found.
    for file in sorted(files, key=lambda file: not file.name.startswith(DETECTOR_NAMES)):
        counts[file] = _output_count(file)
        if counts[file] == OUTPUTS:
            return file
    raise ModelError(
        f"No file of the pack is a detector with {OUTPUTS} outputs (scores, boxes, landmarks)",
        given=", ".join(f"{file.name}: {count}" for file, count in counts.items()),
        do="use a pack with an SCRFD detector that finds landmarks, such as det_10g.onnx",
    )


def _output_count(file: Path) -> int:
    try:
        import onnx  # an extra
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    except ImportError as error:
        raise _not_installed() from error
    try:
        return len(onnx.load_model(str(file), load_external_data=False).graph.output)
    except (DecodeError, OSError, ValueError) as error:
        raise ModelError(
            f"An ONNX file is damaged ({error})", given=file, do="fetch it again"
        ) from error


def _load(file: Path, device: str, threads: int | None) -> Any:
    try:
        import onnxruntime
        from insightface import model_zoo
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    except ImportError as error:
        raise _not_installed() from error
    available = onnxruntime.get_available_providers()
    if PROVIDERS.get(device) not in available:
        raise ConfigError(
            "The face detector cannot run there",
            given=f"device '{device}', onnxruntime has {', '.join(available)}",
            do="use cpu, or install onnxruntime-gpu for cuda",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the cores from torch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # onnxruntime's errors have no base of their own.
    own = [e for e in vars(states).values() if isinstance(e, type) and issubclass(e, Exception)]
    problems: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    try:
        # A path that ends in .onnx and exists is read as it is: no look-up, no download.
        return model_zoo.get_model(
            str(file.resolve()),
            providers=list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]])),
            sess_options=options,
        )
    except problems as error:
        raise ModelError(
            f"Could not load the detector ({type(error).__name__}: {str(error)[:300]})",
            given=file,
            do="fetch or export it again",
        ) from error


def _not_installed() -> ModelError:
    return ModelError(
        "Face detection needs insightface, onnx and onnxruntime",
        do="install the extra: pip install 'evenhand[faces]'",
    )


def _chunks(
    values: Float[np.ndarray, "n 3 d d"], size: int
) -> Iterator[Float[np.ndarray, "_ 3 d d"]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _no_faces() -> Faces:
    zeros = torch.zeros(0)
    return Faces(zeros.view(0, 4), zeros.view(0, 5, 2), zeros, zeros.bool())


def _joined(parts: list[Faces], device: torch.device) -> Faces:
    return Faces(
        boxes=torch.cat([part.boxes for part in parts]).to(device),
        landmarks=torch.cat([part.landmarks for part in parts]).to(device),
        scores=torch.cat([part.scores for part in parts]).to(device),
        present=torch.cat([part.present for part in parts]).to(device),
    )
