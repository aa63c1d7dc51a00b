"""ONNX files of face networks: their graph, and insightface's own object that runs them.

The packages of the extra ``faces`` are imported where a file is opened, not before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fairness_core.errors import ModelError

__all__ = ["CPU", "damaged", "faces_extra", "insightface_model", "read_onnx"]

CPU = "CPUExecutionProvider"


@contextmanager
def faces_extra() -> Iterator[None]:
    """Name the extra where an import inside the block fails.

    Raises:
        ModelError: A package is not installed.
    """
    try:
        yield
    except ImportError as error:
        raise ModelError(
            f"ONNX files of face networks need insightface, onnx and onnxruntime ({error})",
            do="install the extra: pip install 'evenhand[faces]'",
        ) from error


def read_onnx(path: Path) -> Any:
    """Read an ONNX file.

    Returns:
        ``onnx.ModelProto``.

    Raises:
        ModelError: The package onnx is not installed, or the file is missing or damaged.
    """
    with faces_extra():
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    try:
        # Weights in a second file would escape the bank's fingerprint; none are read.
        return onnx.load_model(str(path), load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise damaged(path, f"{type(error).__name__}: {str(error)[:200]}") from error


def damaged(path: Path, what: str) -> ModelError:
    """The error of an ONNX file that does not hold what it should."""
    return ModelError(f"An ONNX file is damaged ({what})", given=path, do="fetch it again")


def insightface_model(
    path: Path,
    what: str,
    *,
    providers: Sequence[str | tuple[str, Mapping[str, str]]] = (CPU,),
    threads: int | None = None,
) -> Any:
    """Make insightface's own object of an ONNX file, whose session runs the file.

    Args:
        path: The file; nothing is downloaded.
        what: The network, for the message.
        providers: onnxruntime's, the first that can is used.
        threads: CPU threads of the session; None: as many as torch uses.

    Returns:
        What ``insightface.model_zoo.get_model`` returns: None for a kind that it does not know.

    Raises:
        ModelError: A package is not installed, or the file is damaged.
    """
    with faces_extra():
        import onnxruntime
        from insightface import model_zoo
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the cores from torch.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # onnxruntime's errors have no base of their own.
    own = [e for e in vars(states).values() if isinstance(e, type) and issubclass(e, Exception)]
    problems: tuple[type[Exception], ...] = (*own, RuntimeError, ValueError)
    try:
        # A path that ends in .onnx and exists is read as it is: no look-up, no download. A link
        # stays one: in the hub's cache the file that it leads to has no such ending.
        return model_zoo.get_model(
            str(path.absolute()), providers=list(providers), sess_options=options
        )
    except problems as error:
        raise ModelError(
            f"Could not load the {what} ({type(error).__name__}: {str(error)[:300]})",
            given=path,
            do="fetch or export it again",
        ) from error
