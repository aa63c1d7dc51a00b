"""Handmade ONNX detectors in insightface's layout: outputs linear in a cell's mean colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
WIDTHS = {"score": 1, "bbox": 4, "kps": 10}


def bright_cells() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A detector with a known answer.

    Anchor 0 of a cell scores sigmoid(20 * mean brightness in [-1, 1]), anchor 1 next to nothing.
    Its box reaches one stride to the left and up and two to the right and down; landmark i lies
    i / 4 strides to the right and one down.
    """
    score = np.zeros((2, 3)), np.array([0.0, -50.0])
    score[0][0] = 20 / 3
    box = np.zeros((8, 3)), np.array([1.0, 1.0, 2.0, 2.0] * 2)
    points = np.array([[i / 4, 1.0] for i in range(5)]).flatten()
    return {"score": score, "bbox": box, "kps": (np.zeros((20, 3)), np.tile(points, 2))}


def random_weights(seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A detector with no sense: different scores, boxes and points at every anchor."""
    draw = np.random.default_rng(seed)
    return {
        "score": (draw.normal(size=(2, 3)) * 6, draw.normal(size=2)),
        "bbox": (draw.normal(size=(8, 3)), draw.uniform(0.5, 2.5, size=8)),
        "kps": (draw.normal(size=(20, 3)), draw.normal(size=20)),
    }


def write_detector(
    path: Path,
    weights: dict[str, tuple[np.ndarray, np.ndarray]],
    *,
    batch: int | None = None,
    side: int | None = None,
    rank: int = 3,
    kinds: tuple[str, ...] = ("score", "bbox", "kps"),
) -> Path:
    """Write a detector.

    Args:
        path: File to write.
        weights: For each kind, matrix (2 * width, 3) and offsets, over a cell's mean RGB.
        batch: Fixed batch size; None leaves it open.
        side: Fixed side of the input; None leaves it open.
        rank: Of the outputs: 3 with a batch axis, 2 without.
        kinds: Outputs; without landmarks there are six.
    """
    nodes, constants, outputs = [], [], []
    for kind in kinds:
        width = WIDTHS[kind]
        matrix, offset = (np.asarray(value, dtype=np.float32) for value in weights[kind])
        shape = (0, -1, width) if rank == 3 else (-1, width)
        constants += [
            numpy_helper.from_array(matrix[:, :, None, None], f"{kind}_w"),
            numpy_helper.from_array(offset, f"{kind}_b"),
            numpy_helper.from_array(np.array(shape, dtype=np.int64), f"{kind}_shape"),
        ]
        for stride in STRIDES:
            name = f"{kind}_{stride}"
            last = "raw_" + name if kind == "score" else name
            nodes += [
                helper.make_node(
                    "Conv", [f"mean_{stride}", f"{kind}_w", f"{kind}_b"], ["c_" + name]
                ),
                helper.make_node("Transpose", ["c_" + name], ["t_" + name], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", ["t_" + name, f"{kind}_shape"], [last]),
            ]
            if kind == "score":
                nodes.append(helper.make_node("Sigmoid", [last], [name]))
            axes = ["batch", f"anchors_{stride}", width][3 - rank :]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, axes))
    pools = [
        helper.make_node(
            "AveragePool", ["input.1"], [f"mean_{s}"], kernel_shape=[s, s], strides=[s, s]
        )
        for s in STRIDES
    ]
    shape = [batch or "batch", 3, side or "height", side or "width"]
    graph = helper.make_graph(
        pools + nodes,
        "detector",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)],
        outputs,
        initializer=constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(model, str(path))
    return path
