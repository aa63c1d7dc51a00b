"""The detector's file in an insightface pack, and insightface's own object around it."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

from fairness_core.errors import ConfigError, ModelError
from fairness_core.faces.backends.scrfd import STRIDES
from fairness_core.onnx_files import CPU, faces_extra, insightface_model, read_onnx

__all__ = ["detector_file", "load_model"]

OUTPUTS = 3 * len(STRIDES)
DETECTOR_NAMES = ("det", "scrfd")
CUDA = "CUDAExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA}
# Left to itself cuDNN's fastest algorithm is measured in every process, and another one rounds
# otherwise: equal inputs must give equal bits. Nor are factors shortened, so that the CPU's faces
# are near, or memory taken by powers of two: torch trains beside it.
CUDA_OPTIONS = {
    "cudnn_conv_algo_search": "DEFAULT",
    "use_tf32": "0",
    "arena_extend_strategy": "kSameAsRequested",
}

# Below the logger that a step's command line configures; this level does not import ``runtime``.
_logger = logging.getLogger("evenhand.detector")


def detector_file(folder: Path) -> Path:
    """The first ONNX file of the folder that has nine outputs.

    Files whose names begin as published detectors' do are tried first; of a pack's other networks
    none is loaded.

    Raises:
        ModelError: The folder, or a detector in it, is missing or damaged, or onnx not installed.
    """
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
        counts[file] = len(read_onnx(file).graph.output)
        if counts[file] == OUTPUTS:
            return file
    raise ModelError(
        f"No file of the pack is a detector with {OUTPUTS} outputs (scores, boxes, landmarks)",
        given=", ".join(f"{file.name}: {count}" for file, count in counts.items()),
        do="use a pack with an SCRFD detector that finds landmarks, such as det_10g.onnx",
    )


def load_model(file: Path, device: str, threads: int | None, strict: bool = True) -> Any:
    """Make insightface's own detector object, whose session runs on the device.

    Args:
        file: Of the detector.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: CPU threads of the session; None: as many as torch uses.
        strict: Whether a GPU that onnxruntime cannot use is an error; otherwise the session runs
            on the CPU, and the process's first one to do so logs one warning.

    Raises:
        ConfigError: onnxruntime has no such device, or cannot start it.
        ModelError: insightface is not installed, or the file is damaged.
    """
    with faces_extra():
        import onnxruntime
    available = onnxruntime.get_available_providers()
    kind, _, index = device.partition(":")
    if PROVIDERS.get(kind) not in available:
        install = "install onnxruntime-gpu in place of onnxruntime to detect on the GPU"
        _left_to_the_cpu(
            strict or kind != "cuda",
            f"device '{device}', onnxruntime has {', '.join(available)}",
            install,
        )
        kind = "cpu"
    model = insightface_model(file, "detector", providers=_providers(kind, index), threads=threads)
    # Without its libraries the provider is listed, fails, and leaves the session to the CPU.
    if kind == "cuda" and CUDA not in model.session.get_providers():
        _left_to_the_cpu(
            strict,
            f"device '{device}', whose {CUDA} did not start",
            "give onnxruntime-gpu libraries of the CUDA and cuDNN that it was built for",
        )
    return model


def _providers(kind: str, index: str) -> list[str | tuple[str, dict[str, str]]]:
    """The device's provider first, with its options, and the CPU's for what it leaves."""
    return [CPU] if kind == "cpu" else [(CUDA, {"device_id": index or "0"} | CUDA_OPTIONS), CPU]


def _left_to_the_cpu(strict: bool, given: str, do: str) -> None:
    if strict:
        raise ConfigError("The face detector cannot run there", given=given, do=f"use cpu, or {do}")
    _say_once(f"Faces are detected on the CPU. Given: {given}. What to do: {do}.")


@cache
def _say_once(text: str) -> None:
    _logger.warning(text)
