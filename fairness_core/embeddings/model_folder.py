"""Read an encoder's folder from disk: local, safetensors only, every problem named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fairness_core.errors import ModelError

__all__ = ["LOAD_ERRORS", "ImageInput", "load_encoder", "read_json", "require_file"]

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)
# Pillow's numbers, which image processors write.
RESAMPLING = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class ImageInput:
    """How an encoder wants its images.

    Attributes:
        size: Side of its square input, px.
        mean: Of each channel, for images in [0, 1].
        std: Of each channel, for images in [0, 1].
        mode: ``bilinear`` or ``bicubic`` resizing.
    """

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mode: str

    @classmethod
    def read(cls, folder: Path) -> ImageInput:
        """Read ``preprocessor_config.json`` of an image processor.

        Raises:
            ModelError: The file is missing or damaged, or asks for what is not done here.
        """
        entries = read_json(folder / PREPROCESSOR)
        try:
            size = entries.get("crop_size") if entries.get("do_center_crop", True) else None
            return cls(
                _side(size or entries["size"]),
                _channels(entries["image_mean"]),
                _channels(entries["image_std"]),
                RESAMPLING[entries.get("resample", 3)],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{PREPROCESSOR} does not describe a square RGB input ({error!r})",
                given=folder / PREPROCESSOR,
                do="give size, image_mean, image_std and resample 2 or 3 (bilinear or bicubic)",
            ) from error

    def prepare(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
        """Resize the whole image to the network's input and normalise, differentiably.

        The image is not cropped, as the paper's authors do (512 -> 224 px); antialiased where it
        shrinks. What overshoots the range is not cut off, which would stop its gradient.

        Args:
            images: In [-1, 1].
        """
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(
                images, size=(self.size, self.size), mode=self.mode, antialias=True
            )
        mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return ((images + 1) / 2 - mean) / std


def load_encoder(cls: Any, folder: Path, *, kind: str) -> nn.Module:
    """Load a transformers network of a local folder, float32, frozen, in evaluation mode.

    Args:
        cls: The network's transformers class.
        folder: Where ``save_pretrained`` wrote it.
        kind: The ``model_type`` that its configuration must name.

    Raises:
        ModelError: The folder or a file is missing, a file is damaged, the network is of another
            kind, or the weights are not those that ``config.json`` describes.
    """
    found = read_json(folder / CONFIG).get("model_type")
    if found != kind:
        raise ModelError(
            f"The folder holds a model of type '{found}', not '{kind}'",
            given=folder,
            do=f"give a folder that {cls.__name__}.save_pretrained wrote",
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            "The encoder folder has no safetensors weights",
            given=folder,
            do="fetch them, or convert pickled ones with save_pretrained",
        )
    try:
        network, info = cls.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"Could not load the encoder ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="fetch the model again",
        ) from error
    wrong = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if wrong:
        raise ModelError(
            f"The encoder lacks {len(wrong)} weights, the first of them {wrong[0]}",
            given=folder,
            do="use weights and a config.json that belong together",
        )
    assert isinstance(network, nn.Module)
    return network.eval().requires_grad_(False)


def require_file(path: Path) -> Path:
    """Return the path.

    Raises:
        ModelError: There is no such file.
    """
    if not path.is_file():
        raise ModelError(
            f"The model folder has no {path.name}",
            given=path.parent,
            do="give a complete local folder; nothing is downloaded",
        )
    return path


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: The file is missing, damaged or no object.
    """
    try:
        entries = json.loads(require_file(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{path.name} is damaged ({error})", given=path, do="fetch it again"
        ) from error
    if not isinstance(entries, dict):
        raise ModelError(f"{path.name} is not a JSON object", given=path, do="fetch it again")
    return entries


def _side(size: int | dict[str, int]) -> int:
    """Side in px of ``size`` as image processors write it: a number, an edge, or both sides."""
    if isinstance(size, int):
        return size
    if "shortest_edge" in size:
        return int(size["shortest_edge"])
    if size["height"] != size["width"]:
        raise ValueError("not square")
    return int(size["height"])


def _channels(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
