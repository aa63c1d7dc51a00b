"""Small untrained classifiers, for worlds whose faces are a few pixels."""

from __future__ import annotations

import math

import torch
from torch import nn
from transformers import (
    MobileNetV1Config,
    MobileNetV1ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers.model_folder import InputFormat
from fairness_core.classifiers.network import AttributeClassifier, label_names
from fairness_core.errors import ConfigError

__all__ = ["build"]


def build(
    kind: str, space: AttributeSpace, size: int, generator: torch.Generator
) -> AttributeClassifier:
    """Make a small untrained classifier; 0.2 M (resnet) or 0.8 M (mobilenet) parameters.

    The two kinds share no building block, so that one can audit a model aligned with the other.

    Args:
        kind: ``resnet`` (residual, full convolutions; its last map is 4x4 px for crops of 32 to
            128 px) or ``mobilenet`` (MobileNetV1, depthwise convolutions).
        space: Attributes and classes.
        size: Side of the crops, px, at least 32.
        generator: Decides the weights; the global generator is left as it was.

    Raises:
        ConfigError: Another kind, or a smaller size.
    """
    if size < 32:
        raise ConfigError("Face crops are too small to classify", given=f"{size} px", do="use 32")
    names = dict(enumerate(label_names(space)))
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module
        if kind == "resnet":
            stages = min(4, max(2, round(math.log2(size / 8))))
            config = ResNetConfig(
                embedding_size=24,
                hidden_sizes=[48 * 2**i for i in range(stages)],
                depths=[1] * stages,
                layer_type="basic",
                **labels,
            )
            network = ResNetForImageClassification(config)
        elif kind == "mobilenet":
            network = MobileNetV1ForImageClassification(
                MobileNetV1Config(
                    image_size=size,
                    depth_multiplier=0.5,
                    tf_padding=False,
                    classifier_dropout_prob=0.1,
                    **labels,
                )
            )
        else:
            raise ConfigError(
                "There is no such classifier network", given=kind, do="use resnet or mobilenet"
            )
    return AttributeClassifier(network.eval(), space, InputFormat(size))
