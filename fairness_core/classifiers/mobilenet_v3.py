"""MobileNetV3-Large (Howard et al., ICCV 2019, table 1), the network of the paper's classifiers.

Parameters have the names under which torchvision publishes its weights, so those can be loaded once
they are stored as safetensors. transformers has no such network.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import PretrainedConfig, PreTrainedModel

__all__ = ["MobileNetV3Config", "MobileNetV3LargeForImageClassification"]

EPSILON, MOMENTUM = 1e-3, 0.01
STEM, LAST, HIDDEN, DROPOUT = 16, 960, 1280, 0.2


class Row(NamedTuple):
    """One line of the paper's table: kernel, expanded and output channels, SE, h-swish, stride."""

    kernel: int
    expanded: int
    outputs: int
    excited: bool
    swish: bool
    stride: int


ROWS = (
    Row(3, 16, 16, False, False, 1),
    Row(3, 64, 24, False, False, 2),
    Row(3, 72, 24, False, False, 1),
    Row(5, 72, 40, True, False, 2),
    Row(5, 120, 40, True, False, 1),
    Row(5, 120, 40, True, False, 1),
    Row(3, 240, 80, False, True, 2),
    Row(3, 200, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 184, 80, False, True, 1),
    Row(3, 480, 112, True, True, 1),
    Row(3, 672, 112, True, True, 1),
    Row(5, 672, 160, True, True, 2),
    Row(5, 960, 160, True, True, 1),
    Row(5, 960, 160, True, True, 1),
)


def _convolution(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=EPSILON, momentum=MOMENTUM),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


def _eighths(channels: float) -> int:
    """Channels rounded to a multiple of 8, never below 90 % of what was asked for."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class _Excitation(nn.Module):
    """Squeeze and excite: a gate for each channel from the mean of all."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _eighths(channels / 4)
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        gate: Tensor = F.hardsigmoid(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3), keepdim=True)))))
        return x * gate


class _Bottleneck(nn.Module):
    """Expand, filter each channel, excite, project; the input is added where shapes agree."""

    def __init__(self, inputs: int, row: Row) -> None:
        super().__init__()
        activation = nn.Hardswish if row.swish else nn.ReLU
        layers: list[nn.Module] = []
        if row.expanded != inputs:
            layers.append(_convolution(inputs, row.expanded, activation=activation))
        layers.append(
            _convolution(
                row.expanded,
                row.expanded,
                row.kernel,
                stride=row.stride,
                groups=row.expanded,
                activation=activation,
            )
        )
        if row.excited:
            layers.append(_Excitation(row.expanded))
        layers.append(_convolution(row.expanded, row.outputs))
        self.block = nn.Sequential(*layers)
        self.adds = row.stride == 1 and inputs == row.outputs

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h2 w2"]:
        y: Tensor = self.block(x)
        return x + y if self.adds else y


class MobileNetV3Config(PretrainedConfig):  # type: ignore[misc]
    """The number and names of the outputs are all that differs between these networks."""

    model_type = "mobilenet_v3_large"

    def __init__(self, **others: Any) -> None:
        """Hold what every configuration has; without this, transformers makes one that refuses."""
        super().__init__(**others)


class MobileNetV3LargeForImageClassification(PreTrainedModel):  # type: ignore[misc]
    """5,483,032 parameters with 1,000 outputs, for images of any size; published for 224 px."""

    config_class = MobileNetV3Config
    main_input_name = "pixel_values"

    def __init__(self, config: Any) -> None:
        """Make an untrained network; initial weights come from torch's global generator."""
        super().__init__(config)
        layers: list[nn.Module] = [_convolution(3, STEM, 3, stride=2, activation=nn.Hardswish)]
        inputs = STEM
        for row in ROWS:
            layers.append(_Bottleneck(inputs, row))
            inputs = row.outputs
        layers.append(_convolution(inputs, LAST, activation=nn.Hardswish))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(LAST, HIDDEN),
            nn.Hardswish(),
            nn.Dropout(DROPOUT),
            nn.Linear(HIDDEN, config.num_labels),
        )
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """The constructor has set them already."""

    def forward(self, pixel_values: Float[Tensor, "n 3 h w"]) -> SimpleNamespace:
        """Compute ``logits`` of normalised images."""
        x = self.features(pixel_values).mean(dim=(2, 3))
        return SimpleNamespace(logits=self.classifier(x))
