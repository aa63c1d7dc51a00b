"""Recognition models as insightface's packs have them: small, with random statistics."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import nn

from fairness_core.embeddings.iresnet import IResNet


def make_network(seed: int = 0, channels: Sequence[int] = (4, 6, 8, 8)) -> IResNet:
    """An IResNet whose batch statistics, slopes and weights all differ from what torch starts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = IResNet((1, 2, 1, 1), channels, 16)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
            elif isinstance(module, nn.PReLU):
                nn.init.uniform_(module.weight, -0.3, 0.6)
    return network.eval().requires_grad_(False)


def export(
    network: nn.Module, path: Path, *, folded: bool = True, batch: bool = True, side: int = 112
) -> Path:
    """Write with the tracing exporter, by which the published files were made.

    Args:
        network: In evaluation mode.
        path: File to write.
        folded: Whether batch norms become part of the convolutions before them.
        batch: Whether the number of pictures is open; else one.
        side: Of the input.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2 if batch else 1, 3, side, side),),
            path,
            input_names=["input.1"],
            dynamic_axes={"input.1": {0: "batch"}} if batch else None,
            opset_version=18,
            do_constant_folding=folded,
            training=torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE,
            dynamo=False,
        )
    return path


def normalise_inside(path: Path) -> Path:
    """Make the file take 0 to 255, as files converted from MXNet do."""
    model = onnx.load(path)
    graph = model.graph
    for name, value in (("middle", 127.5), ("scale", 1 / 127.5)):
        graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    for node in graph.node:
        node.input[:] = ["normal" if name == "input.1" else name for name in node.input]
    graph.node.insert(
        0, helper.make_node("Sub", ["input.1", "middle"], ["less"], name="_minusscalar0")
    )
    graph.node.insert(1, helper.make_node("Mul", ["less", "scale"], ["normal"], name="_mulscalar0"))
    onnx.save(model, path)
    return path


def write_graph(
    path: Path,
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    side: int = 112,
    version: int = 18,
) -> Path:
    """Write a graph from ``input.1`` to ``out``."""
    picture = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, ["n", 3, side, side])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    graph = helper.make_graph(list(nodes), "g", [picture], [out], list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def make_pack(folder: Path, seed: int = 0) -> Path:
    """A folder named and filled as buffalo_l is: a detector, attributes, landmarks, recognition."""
    from tests.faces.tiny_detector import bright_cells, write_detector

    folder.mkdir(parents=True)
    write_detector(folder / "det_10g.onnx", bright_cells())
    for name, side in (("1k3d68", 192), ("2d106det", 192), ("genderage", 96)):
        write_graph(folder / f"{name}.onnx", [average("input.1", "out")], side=side)
    export(make_network(seed), folder / "w600k_r50.onnx")
    return folder


def average(given: str, made: str) -> onnx.NodeProto:
    """A node that averages over the picture."""
    return helper.make_node("GlobalAveragePool", [given], [made])


def tensor(name: str, values: np.ndarray) -> onnx.TensorProto:
    """A constant of the values' own type."""
    return onnx.numpy_helper.from_array(values, name)
