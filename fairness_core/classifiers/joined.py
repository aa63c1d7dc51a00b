"""Several image classifiers as one network, which sees a crop and gives all attributes' logits."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
)

from fairness_core.model_folders import ImageInput

__all__ = ["JoinedClassifiers", "JoinedConfig"]


class JoinedConfig(PretrainedConfig):  # type: ignore[misc]
    """Configurations, input formats and merges of the members.

    Attributes:
        members: In the order of the attributes, each with ``name``, ``config`` (of its network),
            ``format`` (size, mean, std, mode) and ``classes`` (class index of each output).
    """

    model_type = "evenhand_joined"

    def __init__(self, members: list[dict[str, Any]] | None = None, **others: Any) -> None:
        """Hold the members' descriptions as they are."""
        self.members = members or []
        super().__init__(**others)


class JoinedClassifiers(nn.Module):
    """One network for each attribute, each seeing the crop in its own size and normalisation.

    The probability of a class is the sum over the labels that make it up: its logit is their
    log-sum-exp.

    It is saved and loaded name by name: the translation of weights' names that transformers makes
    between disk and memory is written for whole models, not for networks inside another.

    Attributes:
        config: What it is built from; names the outputs.
    """

    def __init__(self, config: Any) -> None:
        """Make untrained members."""
        super().__init__()
        self.config = config
        self.members = nn.ModuleDict()
        self.formats, self.classes = [], []
        for member in config.members:
            entries = dict(member["config"])
            inner = AutoConfig.for_model(entries.pop("model_type"), **entries)
            # Names may hold dots or be those of a module's own attributes.
            self.members[f"of_{member['name']}"] = AutoModelForImageClassification.from_config(
                inner, dtype=torch.float32
            )
            form = member["format"]
            self.formats.append(
                ImageInput(form["size"], tuple(form["mean"]), tuple(form["std"]), form["mode"])
            )
            self.classes.append(tuple(member["classes"]))

    def save_pretrained(self, folder: str) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.config.save_pretrained(folder)
        weights = {name: value.contiguous() for name, value in self.state_dict().items()}
        save_file(weights, Path(folder) / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, folder: str, **_: Any) -> tuple[JoinedClassifiers, dict[str, Any]]:
        """Read what ``save_pretrained`` wrote, as the method of transformers' networks would.

        Returns:
            The network, and the names of weights that are missing.
        """
        config = JoinedConfig.from_pretrained(folder, local_files_only=True)
        with torch.random.fork_rng(devices=[]):
            network = cls(config)
        weights = load_file(Path(folder) / "model.safetensors")
        missing = network.load_state_dict(weights, strict=False).missing_keys
        return network, {"missing_keys": missing, "mismatched_keys": []}

    def forward(self, pixel_values: Float[Tensor, "n 3 s s"]) -> SimpleNamespace:
        """Compute the logits of all attributes' classes, differentiably.

        Args:
            pixel_values: In [-1, 1].
        """
        parts = []
        networks = zip(self.members.values(), self.formats, self.classes, strict=True)
        for network, form, classes in networks:
            logits = network(pixel_values=form.prepare(pixel_values)).logits
            columns = torch.tensor(classes, device=logits.device)
            parts += [logits[:, columns == k].logsumexp(-1) for k in range(max(classes) + 1)]
        return SimpleNamespace(logits=torch.stack(parts, dim=1))
