"""A network that sees a face crop and gives a distribution over each attribute's classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers.model_folder import FOLDER, load_network
from fairness_core.errors import ModelError
from fairness_core.model_folders import ImageInput, read_json, write_json

__all__ = ["AttributeClassifier", "label_names"]

CALIBRATION = "calibration.json"


def label_names(space: AttributeSpace) -> tuple[str, ...]:
    """Names of a classifier's outputs, such as ``gender=female``, in the space's order."""
    return tuple(f"{a.name}={c}" for a in space.attributes for c in a.classes)


class AttributeClassifier(nn.Module):
    """h(x): probabilities over the classes of every attribute, from one face crop (method, §1).

    A transformers image classifier of any architecture whose output lists the classes of all
    attributes one after the other, and one temperature for each attribute.

    Attributes:
        network: Images normalised by ``format`` to ``logits`` of ``space.width`` columns.
        space: Attributes and classes, in the order of the columns.
        format: Size and normalisation of the network's input.
        temperatures: Attribute to the number its logits are divided by; 1 before calibration.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        space: AttributeSpace,
        format: ImageInput,
        temperatures: Mapping[str, float] | None = None,
    ) -> None:
        """Hold the network as it is.

        Raises:
            ModelError: A temperature is missing, of no attribute, or not above 0.
        """
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # A network in evaluation mode must not be back in training mode after `predict`.
        self.training = network.training
        self.space, self.format = space, format
        ones = dict.fromkeys(space.names, 1.0)
        self.temperatures = self._checked(ones if temperatures is None else temperatures)
        for name, values in (("mean", format.mean), ("std", format.std)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @property
    def input_size(self) -> int:
        """Side of the crops it takes, px."""
        return self.format.size

    @classmethod
    def load(cls, folder: str | Path, space: AttributeSpace) -> AttributeClassifier:
        """Load a local folder, frozen and in evaluation mode.

        Args:
            folder: ``config.json``, ``model.safetensors``, ``preprocessor_config.json`` and
                ``calibration.json`` (``{"temperatures": {attribute: T}}``).
            space: The attributes that the caller will ask for.

        Raises:
            ModelError: A file is missing or damaged, weights and configuration differ, or the
                labels or temperatures are not those of the space.
        """
        folder = Path(folder)
        network = load_network(folder)
        labels = cast(Any, network.config).id2label
        found = tuple(str(labels[i]) for i in sorted(labels))
        if found != label_names(space):
            raise ModelError(
                f"The classifier in {folder} has other classes than the attributes asked for",
                given=", ".join(found),
                do=f"use a classifier with the classes {', '.join(label_names(space))}, in order",
            )
        temperatures = read_json(folder / CALIBRATION, FOLDER).get("temperatures")
        if not isinstance(temperatures, dict):
            raise ModelError(f"{CALIBRATION} has no temperatures", given=folder / CALIBRATION)
        model = cls(network, space, ImageInput.read(folder), temperatures)
        return model.eval().requires_grad_(False)

    def save(self, folder: str | Path) -> Path:
        """Write what ``load`` reads; a folder that exists is written into.

        Returns:
            The folder.
        """
        folder = Path(folder)
        cast(Any, self.network).save_pretrained(str(folder))
        self.format.write(folder)
        write_json(folder / CALIBRATION, {"temperatures": dict(self.temperatures)})
        return folder

    def set_temperatures(self, temperatures: Mapping[str, float]) -> None:
        """Replace the temperatures, such as by those that ``fit_temperature`` found.

        Raises:
            ModelError: A temperature is missing, of no attribute, or not above 0.
        """
        self.temperatures = self._checked(temperatures)

    def forward(self, crops: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n width"]:
        """Compute the network's own output: logits of all classes, no temperature.

        Args:
            crops: In [-1, 1], of side ``input_size``.

        Raises:
            ModelError: The crops have another size.
        """
        if crops.shape[-1] != self.input_size:
            raise ModelError(
                "The crops are not of the classifier's input size",
                given=f"{crops.shape[-1]} px",
                do=f"cut them with size={self.input_size}",
            )
        pixels = ((crops + 1) / 2 - self.mean) / self.std
        output = self.network(pixel_values=pixels.contiguous(memory_format=torch.channels_last))
        return cast(Tensor, output.logits).float()

    def split(self, logits: Float[Tensor, "n width"]) -> dict[str, Float[Tensor, "n k"]]:
        """Each attribute's columns, divided by its temperature."""
        return {
            name: logits[:, columns] / self.temperatures[name]
            for name, columns in self.space.slices.items()
        }

    def logits(self, crops: Float[Tensor, "n 3 s s"]) -> dict[str, Float[Tensor, "n k"]]:
        """Compute log h(x) up to a constant: calibrated logits, differentiable in the crops.

        Args:
            crops: In [-1, 1], of side ``input_size``.

        Returns:
            Attribute to logits, temperature applied.

        Raises:
            ModelError: The crops have another size.
        """
        return self.split(self.forward(crops))

    @torch.no_grad()
    def predict(
        self, crops: Float[Tensor, "n 3 s s"], batch_size: int = 256
    ) -> dict[str, Float[Tensor, "n k"]]:
        """Compute h(x) in evaluation mode, batch by batch, without a gradient.

        Args:
            crops: In [-1, 1], of side ``input_size``, on any device.
            batch_size: Crops in one call of the network; no effect on the result.

        Returns:
            Attribute to probabilities, rows summing to 1, on the crops' device.

        Raises:
            ModelError: The crops have another size.
        """
        training = self.training
        self.eval()
        try:
            logits = [
                self.forward(batch.to(self.mean.device)).to(crops.device)
                for batch in crops.split(batch_size)
            ]
        finally:
            self.train(training)
        return {name: part.softmax(-1) for name, part in self.split(torch.cat(logits)).items()}

    def _checked(self, temperatures: Mapping[str, float]) -> dict[str, float]:
        numbers = {name: float(value) for name, value in temperatures.items()}
        if set(numbers) != set(self.space.names) or not all(
            math.isfinite(value) and value > 0 for value in numbers.values()
        ):
            raise ModelError(
                "The classifier needs one temperature above 0 for each attribute",
                given=dict(temperatures),
                do=f"calibrate {', '.join(self.space.names)}",
            )
        return {name: numbers[name] for name in self.space.names}
