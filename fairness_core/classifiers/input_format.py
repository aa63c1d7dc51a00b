"""What an image classifier wants to see, as its ``preprocessor_config.json`` says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fairness_core.errors import ModelError

__all__ = ["InputFormat", "read_json", "write_json"]

PREPROCESSOR = "preprocessor_config.json"
# Pillow's numbers, which image processors write.
RESAMPLING = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class InputFormat:
    """What a network wants to see.

    Attributes:
        size: Side of its square input, px.
        mean: Of each channel, for images in [0, 1].
        std: Of each channel, for images in [0, 1].
        mode: ``bilinear`` or ``bicubic`` resizing, where a crop is of another size.
    """

    size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    mode: str = "bilinear"

    @classmethod
    def read(cls, folder: Path) -> InputFormat:
        """Read ``preprocessor_config.json``; the crop size counts where there is one.

        Raises:
            ModelError: The file is missing or damaged, or the input is not a square RGB image.
        """
        entries = read_json(folder / PREPROCESSOR)
        size = entries.get("crop_size") if entries.get("do_center_crop", True) else None
        try:
            mean = _channels(entries.get("image_mean", cls.mean))
            std = _channels(entries.get("image_std", cls.std))
            mode = RESAMPLING[entries.get("resample", 2)]
            return cls(_side(size or entries["size"]), mean, std, mode)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{PREPROCESSOR} does not describe a square RGB input",
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

    def prepare(self, crops: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 s s"]:
        """Resize crops to the network's input, antialiased, and normalise them, differentiably.

        Args:
            crops: In [-1, 1].
        """
        if crops.shape[-2:] != (self.size, self.size):
            side = (self.size, self.size)
            crops = F.interpolate(crops, size=side, mode=self.mode, antialias=True)
        mean, std = (crops.new_tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        return ((crops + 1) / 2 - mean) / std


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: The file is missing, damaged or no object.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"The classifier folder has no {path.name}",
            given=path.parent,
            do="give a folder that AttributeClassifier.save wrote",
        ) from error
    except ValueError as error:
        raise ModelError(f"{path.name} is damaged ({error})", given=path) from error
    if not isinstance(entries, dict):
        raise ModelError(f"{path.name} is not a JSON object", given=path)
    return entries


def write_json(path: Path, entries: dict[str, Any]) -> None:
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
