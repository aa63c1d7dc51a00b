"""Several image classifiers as one network, which sees a crop and gives all attributes' logits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from fairness_core.classifiers.input_format import InputFormat

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


class JoinedClassifiers(PreTrainedModel):  # type: ignore[misc]
    """One network for each attribute, each seeing the crop in its own size and normalisation.

    The probability of a class is the sum over the labels that make it up: its logit is their
    log-sum-exp.
    """

    config_class = JoinedConfig
    main_input_name = "pixel_values"

    def __init__(self, config: Any) -> None:
        """Make untrained members."""
        super().__init__(config)
        self.members = nn.ModuleDict()
        self.formats, self.classes = [], []
        for member in config.members:
            entries = dict(member["config"])
            inner = AutoConfig.for_model(entries.pop("model_type"), **entries)
            # Names may hold dots or be those of a module's own attributes.
            self.members[f"of_{member['name']}"] = AutoModelForImageClassification.from_config(
                inner
            )
            form = member["format"]
            self.formats.append(
                InputFormat(form["size"], tuple(form["mean"]), tuple(form["std"]), form["mode"])
            )
            self.classes.append(tuple(member["classes"]))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """The members have set theirs."""

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
