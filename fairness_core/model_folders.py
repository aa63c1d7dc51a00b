"""A network's local folder as transformers writes it: safetensors only, every problem named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from fairness_core.errors import ModelError

__all__ = [
    "LOAD_ERRORS",
    "ImageInput",
    "load_pretrained",
    "read_json",
    "require_file",
    "write_json",
]

PREPROCESSOR = "preprocessor_config.json"
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)
# Pillow's numbers, which image processors write.
RESAMPLING = {2: "bilinear", 3: "bicubic"}
COMPLETE = "give a complete local folder; nothing is downloaded"


@dataclass(frozen=True)
class ImageInput:
    """How a network wants its images.

    Attributes:
        size: Side of its square input, px.
        mean: Of each channel, for images in [0, 1].
        std: Of each channel, for images in [0, 1].
        mode: ``bilinear`` or ``bicubic`` resizing, where an image is of another size.
    """

    size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    mode: str = "bilinear"

    @classmethod
    def read(cls, folder: Path, *, mode: str = "bilinear") -> ImageInput:
        """Read ``preprocessor_config.json`` of an image processor; the crop size counts if given.

        Args:
            folder: A network's.
            mode: Where the file does not say: what its kind of processor does.

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
                RESAMPLING[entries["resample"]] if "resample" in entries else mode,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{PREPROCESSOR} does not describe a square RGB input ({error!r})",
                given=folder / PREPROCESSOR,
                do="give size, image_mean, image_std and resample 2 or 3 (bilinear or bicubic), as "
                "transformers' image processors do",
            ) from error

    def write(self, folder: Path) -> None:
        """Write ``preprocessor_config.json`` as transformers' image processors read it."""
        write_json(
            folder / PREPROCESSOR,
            {
                "do_normalize": True,
                "do_rescale": True,
                "do_resize": True,
                "image_mean": list(self.mean),
                "image_std": list(self.std),
                "rescale_factor": 1 / 255,
                "size": {"height": self.size, "width": self.size},
            },
        )

    def prepare(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
        """Resize whole images to the network's input and normalise them, differentiably.

        Images are not cropped, as the paper's authors do (512 -> 224 px); antialiased where they
        shrink. What overshoots the range is not cut off, which would stop its gradient.

        Args:
            images: In [-1, 1].
        """
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(
                images, size=(self.size, self.size), mode=self.mode, antialias=True
            )
        mean, std = (images.new_tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return ((images + 1) / 2 - mean) / std


def load_pretrained(
    cls: Any, folder: Path, what: str, *, dtype: torch.dtype = torch.float32
) -> nn.Module:
    """Load a network whose ``config.json`` and weights are there, in evaluation mode.

    Args:
        cls: The network's class, of transformers or diffusers.
        folder: Where ``save_pretrained`` wrote it.
        what: The network, for the message.
        dtype: Type of its weights.

    Raises:
        ModelError: A file is damaged, or the weights are not those that ``config.json`` describes.
    """
    # Slow to import, and there already where a class of it is passed.
    from transformers import PreTrainedModel

    options = {"dtype" if issubclass(cls, PreTrainedModel) else "torch_dtype": dtype}
    try:
        network, info = cls.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"Could not load the {what} ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="fetch or train it again, or check that it was written by a compatible version",
        ) from error
    wrong = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if wrong:
        raise ModelError(
            f"The {what} lacks {len(wrong)} weights, the first of them {wrong[0]}",
            given=folder,
            do="use weights and a config.json that belong together",
        )
    assert isinstance(network, nn.Module)
    return network.eval()


def require_file(path: Path, do: str = COMPLETE) -> Path:
    """Return the path.

    Raises:
        ModelError: There is no such file.
    """
    if not path.is_file():
        raise ModelError(f"The model folder has no {path.name}", given=path.parent, do=do)
    return path


def read_json(path: Path, do: str = COMPLETE) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        do: What to do where it is missing.

    Raises:
        ModelError: The file is missing, damaged or no object.
    """
    try:
        entries = json.loads(require_file(path, do).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(
            f"{path.name} is damaged ({error})", given=path, do="fetch it again"
        ) from error
    if not isinstance(entries, dict):
        raise ModelError(f"{path.name} is not a JSON object", given=path, do="fetch it again")
    return entries


def write_json(path: Path, entries: Mapping[str, Any]) -> None:
    """Write a JSON object, keys sorted."""
    path.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


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
