"""Read an image-classification folder from disk: local, safetensors only, every problem named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForImageClassification

from fairness_core.classifiers.joined import JoinedClassifiers, JoinedConfig
from fairness_core.classifiers.mobilenet_v3 import (
    MobileNetV3Config,
    MobileNetV3LargeForImageClassification,
)
from fairness_core.errors import ModelError
from fairness_core.model_folders import LOAD_ERRORS, load_pretrained, read_json

__all__ = ["FOLDER", "OWN", "load_network", "load_weights"]

WEIGHTS = "model.safetensors"
FOLDER = "give a folder that AttributeClassifier.save wrote"
# Networks that transformers does not have, by the model_type of their config.json.
OWN = {
    MobileNetV3Config.model_type: MobileNetV3LargeForImageClassification,
    JoinedConfig.model_type: JoinedClassifiers,
}


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
                do=FOLDER,
            )
    kind: Any = OWN.get(
        read_json(folder / "config.json").get("model_type", ""), AutoModelForImageClassification
    )
    return load_pretrained(kind, folder, "classifier")


def load_weights(network: nn.Module, path: str | Path) -> list[str]:
    """Start a network from the weights of one of the same architecture.

    The last layer may be of another number of outputs: it then keeps the weights it has.

    Args:
        network: Changed in place.
        path: A safetensors file with the names of the network's own parameters.

    Returns:
        Names of the weights that were kept.

    Raises:
        ModelError: The file is missing, damaged or pickled, or other weights are missing or of
            another shape.
    """
    path = Path(path)
    if path.suffix != ".safetensors" or not path.is_file():
        raise ModelError(
            "There is no safetensors file of weights to start from",
            given=path,
            do="give a local .safetensors file; pickled weights have to be converted first",
        )
    try:
        weights = load_file(path)
    except LOAD_ERRORS as error:
        raise ModelError(f"Weights are damaged ({error})", given=path) from error
    own = network.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    wrong = [
        name
        for name, value in own.items()
        if name not in counters and (name not in weights or weights[name].shape != value.shape)
    ]
    head = [name for name, _ in network.named_parameters()][-2:]
    if not set(wrong) <= set(head):
        raise ModelError(
            f"The weights lack {len(wrong)} of the network's, or have them in other shapes",
            given=f"{path}: {', '.join(wrong[:3])}",
            do="use weights of the same architecture",
        )
    fitting = {k: v.float() for k, v in weights.items() if k in own and k not in wrong}
    network.load_state_dict(fitting, strict=False)
    return wrong
