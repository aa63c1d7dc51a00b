"""Untrained classifiers: small ones for faces of a few pixels, and two for photographs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn
from transformers import (
    MobileNetV1Config,
    MobileNetV1ForImageClassification,
    ResNetConfig,
    ResNetForImageClassification,
)

from fairness_core.attributes import AttributeSpace
from fairness_core.classifiers.mobilenet_v3 import (
    MobileNetV3Config,
    MobileNetV3LargeForImageClassification,
)
from fairness_core.classifiers.network import AttributeClassifier, label_names
from fairness_core.errors import ConfigError
from fairness_core.model_folders import ImageInput

__all__ = ["NETWORKS", "build", "untrained"]

PUBLISHED = ("mobilenet_v3_large", "resnet50")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(
    kind: str, space: AttributeSpace, size: int, generator: torch.Generator
) -> AttributeClassifier:
    """Make an untrained classifier; 0.2 M (resnet), 0.8 M (mobilenet), 4.2 M or 24 M parameters.

    Residual networks and MobileNets share no building block, so that one can audit a model aligned
    with the other.

    Args:
        kind: ``resnet`` (residual, full convolutions; its last map is 4x4 px for crops of 32 to
            128 px), ``mobilenet`` (MobileNetV1, depthwise convolutions), ``mobilenet_v3_large``
            (the paper's, method §5) or ``resnet50``; the last two are made for 224 px.
        space: Attributes and classes.
        size: Side of the crops, px, at least 32.
        generator: Decides the weights; the global generator is left as it was.

    Raises:
        ConfigError: Another kind, or a smaller size.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = untrained(kind, space, size)
    # The large ones are published with the mean and spread of ImageNet's photographs.
    photographs = (IMAGENET_MEAN, IMAGENET_STD) if kind in PUBLISHED else ()
    return AttributeClassifier(network.eval(), space, ImageInput(size, *photographs))


def untrained(kind: str, space: AttributeSpace, size: int) -> nn.Module:
    """The network alone, its weights from the global generator: arguments and errors as above."""
    if size < 32:
        raise ConfigError("Face crops are too small to classify", given=f"{size} px", do="use 32")
    if kind not in NETWORKS:
        raise ConfigError(
            "There is no such classifier network", given=kind, do=f"use {' or '.join(NETWORKS)}"
        )
    names = dict(enumerate(label_names(space)))
    labels = {"id2label": names, "label2id": {name: i for i, name in names.items()}}
    return NETWORKS[kind](size, labels)


def _resnet(size: int, labels: dict[str, Any]) -> nn.Module:
    stages = min(4, max(2, round(math.log2(size / 8))))
    config = ResNetConfig(
        embedding_size=24,
        hidden_sizes=[48 * 2**i for i in range(stages)],
        depths=[1] * stages,
        layer_type="basic",
        **labels,
    )
    return cast(nn.Module, ResNetForImageClassification(config))


def _mobilenet(size: int, labels: dict[str, Any]) -> nn.Module:
    config = MobileNetV1Config(
        image_size=size,
        depth_multiplier=0.5,
        tf_padding=False,
        classifier_dropout_prob=0.1,
        **labels,
    )
    return cast(nn.Module, MobileNetV1ForImageClassification(config))


def _mobilenet_v3_large(size: int, labels: dict[str, Any]) -> nn.Module:
    return MobileNetV3LargeForImageClassification(MobileNetV3Config(**labels))


def _resnet50(size: int, labels: dict[str, Any]) -> nn.Module:
    # The configuration's defaults are those of ResNet-50.
    return cast(nn.Module, ResNetForImageClassification(ResNetConfig(**labels)))


NETWORKS: dict[str, Callable[[int, dict[str, Any]], nn.Module]] = {
    "resnet": _resnet,
    "mobilenet": _mobilenet,
    "mobilenet_v3_large": _mobilenet_v3_large,
    "resnet50": _resnet50,
}
