"""How far vectors made in torch are from those that insightface makes of the ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fairness_core.embeddings.face_network import FaceNetwork
from fairness_core.errors import ModelError
from fairness_core.model_folders import require_file
from fairness_core.onnx_files import insightface_model

__all__ = ["onnx_twin_gap"]


@torch.no_grad()
def onnx_twin_gap(
    embedder: FaceNetwork, onnx_path: str | Path, faces: Float[Tensor, "n 3 112 112"]
) -> float:
    """Compute how far the ONNX file's vectors are from the torch network's, largest entry.

    The file runs in insightface's own ``ArcFaceONNX`` on 8-bit BGR pictures, so a wrong order of
    channels or a wrong normalisation shows as well as wrong weights; one picture at a time, as some
    files take no more, so that a mixed-up batch in torch shows too.

    Args:
        embedder: The network in torch.
        onnx_path: The ONNX file.
        faces: Aligned faces in [-1, 1]; rounded to 8 bits for both.

    Returns:
        Largest absolute difference of flip-averaged unit vectors; about 1e-6 for twins.

    Raises:
        ModelError: The file is missing or damaged, insightface is not installed, or it does not
            take the file for a face embedder.
    """
    pixels = ((faces.cpu() + 1) * 127.5).round().clamp(0, 255)
    bgr = pixels.to(torch.uint8).permute(0, 2, 3, 1).flip(-1).contiguous().numpy()
    twin = _embedder(require_file(Path(onnx_path)))
    both = [
        F.normalize(torch.from_numpy(np.concatenate([twin.get_feat(face) for face in view])), dim=1)
        for view in (bgr, np.ascontiguousarray(bgr[:, :, ::-1]))
    ]
    theirs = F.normalize(both[0] + both[1], dim=-1)
    return float((embedder.embed(pixels / 127.5 - 1).cpu() - theirs).abs().max())


def _embedder(path: Path) -> Any:
    found = insightface_model(path, "ONNX face embedder")
    if getattr(found, "taskname", None) != "recognition" or len(found.output_names) != 1:
        raise ModelError(
            "insightface does not take the file for a face embedder",
            given=path,
            do="export it with export_onnx: one 112x112 input, one output",
        )
    return found
