"""Read an image-classification folder from disk: local, safetensors only, every problem named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForImageClassification

from fairness_core.errors import ModelError

__all__ = ["InputFormat", "load_network", "read_json", "write_json"]

WEIGHTS = "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
LOAD_ERRORS = (OSError, ValueError, RuntimeError, KeyError, TypeError, SafetensorError)


@dataclass(frozen=True)
class InputFormat:
    """What a network wants to see.

    Attributes:
        size: Side of its square input, px.
        mean: Of each channel, for images in [0, 1].
        std: Of each channel, for images in [0, 1].
    """

    size: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)

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
            return cls(_side(size or entries["size"]), mean, std)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{PREPROCESSOR} does not describe a square RGB input",
                given=folder / PREPROCESSOR,
                do="give size, image_mean and image_std as transformers' image processors do",
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


def load_network(folder: str | Path) -> nn.Module:
    """Load any transformers image classifier of a local folder, float32, in evaluation mode.

    Raises:
        ModelError: The folder or a file is missing, a file is damaged, or the weights are not
            those of the classifier that ``config.json`` describes.
    """
    folder = Path(folder)
    for name, what in (("config.json", "configuration"), (WEIGHTS, "safetensors weights")):
        if not (folder / name).is_file():
            raise ModelError(
                f"The classifier folder has no {what} ({name})",
                given=folder,
                do="give a folder that AttributeClassifier.save wrote",
            )
    try:
        network, info = AutoModelForImageClassification.from_pretrained(
            str(folder),
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=torch.float32,
        )
    except LOAD_ERRORS as error:
        raise ModelError(
            f"Could not load the classifier ({type(error).__name__}: {str(error)[:300]})",
            given=folder,
            do="fetch or train it again",
        ) from error
    wrong = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if wrong:
        raise ModelError(
            f"The classifier lacks {len(wrong)} weights, the first of them {wrong[0]}",
            given=folder,
            do="use weights and a config.json that belong together",
        )
    assert isinstance(network, nn.Module)
    return network.eval()


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
