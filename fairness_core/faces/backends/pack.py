"""The detector's file in an insightface pack, and insightface's own object around it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fairness_core.errors import ConfigError, ModelError
from fairness_core.faces.backends.scrfd import STRIDES

__all__ = ["detector_file", "load_model"]

OUTPUTS = 3 * len(STRIDES)
DETECTOR_NAMES = ("det", "scrfd")
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def detector_file(folder: Path) -> Path:
    """The first ONNX file of the folder that has nine outputs.

    Files whose names begin as published detectors' do are tried first; of a pack's other networks
    none is loaded.

    Raises:
        ModelError: The folder, or a detector in it, is missing or damaged.
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


def load_model(file: Path, device: str, threads: int | None) -> Any:
    """Make insightface's own detector object, whose session runs on the device.

    Raises:
        ConfigError: onnxruntime has no such device.
        ModelError: insightface is not installed, or the file is damaged.
    """
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
