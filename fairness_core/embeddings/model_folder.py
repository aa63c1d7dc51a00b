"""Read an image encoder's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from fairness_core.errors import ModelError
from fairness_core.model_folders import load_pretrained, read_json

__all__ = ["load_encoder"]


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
    found = read_json(folder / "config.json").get("model_type")
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
    return load_pretrained(cls, folder, "encoder").requires_grad_(False)
