"""An ONNX graph as a torch module: what a recognition model's file says, with gradients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fairness_core.embeddings.onnx_operators import OPERATORS, Value
from fairness_core.errors import ModelError
from fairness_core.onnx_files import damaged

__all__ = ["PROBLEMS", "OnnxNetwork", "graph_inputs"]

DOMAINS = ("", "ai.onnx")
OLDEST = 7  # operator set; before it, arithmetic broadcast by attributes
CONSTANT = "Constant"
# What an operator raises for values that it does not take.
PROBLEMS = (ValueError, RuntimeError, TypeError, IndexError, KeyError, AttributeError)


@dataclass(frozen=True)
class _Node:
    kind: str
    told: Mapping[str, Any]
    inputs: tuple[str, ...]
    output: str
    last: tuple[str, ...]  # values that no later node reads


def graph_inputs(graph: Any) -> list[Any]:
    """Inputs that a caller gives; older files list the weights among them."""
    weights = {weight.name for weight in graph.initializer}
    return [given for given in graph.input if given.name not in weights]


class OnnxNetwork(nn.Module):
    """A graph with one input and one output, run node by node; frozen, float32.

    Attributes:
        weights: The file's floating-point constants, in the order of the file.
    """

    def __init__(self, model: Any, path: Path, *, contents: bool = True) -> None:
        """Make the module from the file's graph.

        Args:
            model: What ``read_onnx`` returns.
            path: Named in errors.
            contents: Whether the weights have the file's values; else their shapes alone.

        Raises:
            ModelError: The graph uses an operator, a type or a version not known here.
        """
        super().__init__()
        graph = model.graph
        _refuse_unknown(model, path)
        self._input, self._output = graph_inputs(graph)[0].name, graph.output[0].name
        constants = {weight.name: weight for weight in graph.initializer}
        for node in graph.node:
            if node.op_type == CONSTANT:
                constants[node.output[0]] = _attributes(node).get("value")
        self._numbers: dict[str, Value] = {}
        self._places: dict[str, int] = {}
        weights: list[nn.Parameter] = []
        for name, constant in constants.items():
            found = _read(name, constant, path, contents)
            if isinstance(found, Tensor):
                self._places[name] = len(weights)
                weights.append(nn.Parameter(found, requires_grad=False))
            else:
                self._numbers[name] = found
        self.weights = nn.ParameterList(weights)
        self._nodes = self._order([node for node in graph.node if node.op_type != CONSTANT], path)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Run the graph.

        Args:
            x: What the file's input takes.
        """
        values: dict[str, Value] = {self._input: x, **self._numbers}
        values |= {name: self.weights[place] for name, place in self._places.items()}
        for node in self._nodes:
            given = [values[name] if name else None for name in node.inputs]
            try:
                values[node.output] = OPERATORS[node.kind](node.told, *given)
            except PROBLEMS as error:
                # Not an error of our own: memory may have run out.
                error.add_note(f"in the ONNX graph's {node.kind} '{node.output}'")
                raise
            for name in node.last:
                del values[name]
        out = values[self._output]
        assert isinstance(out, Tensor)
        return out

    def _order(self, nodes: list[Any], path: Path) -> list[_Node]:
        """The file's nodes, which come in the order of their use, and what each reads last."""
        known = {self._input, *self._numbers, *self._places}
        last: dict[str, int] = {}
        for index, node in enumerate(nodes):
            missing = [name for name in node.input if name and name not in known]
            if missing:
                raise damaged(path, f"{node.op_type} reads '{missing[0]}' before it is made")
            known.add(node.output[0])
            last |= dict.fromkeys((name for name in node.input if name), index)
        if self._output not in known:
            raise damaged(path, f"nothing makes the output '{self._output}'")
        last.pop(self._output, None)
        return [
            _Node(
                node.op_type,
                _attributes(node),
                tuple(node.input),
                node.output[0],
                tuple(name for name in dict.fromkeys(node.input) if last.get(name) == index),
            )
            for index, node in enumerate(nodes)
        ]


def _refuse_unknown(model: Any, path: Path) -> None:
    known = {*OPERATORS, CONSTANT}
    kinds = {
        node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}"
        for node in model.graph.node
    }
    unknown = sorted(kinds - known)
    if unknown:
        raise ModelError(
            f"The face embedder's ONNX graph uses operators not known here: {', '.join(unknown)}",
            given=path,
            do="use an IResNet or MobileFaceNet recognition model, or add the operators to "
            "fairness_core/embeddings/onnx_operators.py",
        )
    version = max(
        (each.version for each in model.opset_import if each.domain in DOMAINS), default=1
    )
    if version < OLDEST:
        raise ModelError(
            f"The face embedder's ONNX file uses operator set {version}, older than {OLDEST}",
            given=path,
            do="convert it with onnx.version_converter",
        )


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _read(name: str, constant: Any, path: Path, contents: bool) -> Value:
    """A floating-point constant as a tensor, shapes and axes as numbers."""
    from onnx import TensorProto, numpy_helper

    if constant is None or constant.data_location == TensorProto.EXTERNAL:
        raise ModelError(
            f"The ONNX file's constant '{name}' lies in another file or form",
            given=path,
            do="save the model as one file",
        )
    if constant.data_type == TensorProto.FLOAT and not contents:
        return torch.empty(tuple(constant.dims))
    try:
        array = numpy_helper.to_array(constant)
    except PROBLEMS as error:
        raise damaged(path, f"constant '{name}': {str(error)[:200]}") from error
    if constant.data_type == TensorProto.FLOAT:
        return torch.from_numpy(array.copy())
    if constant.data_type in (TensorProto.INT32, TensorProto.INT64) and array.ndim < 2:
        return tuple(array.tolist()) if array.ndim else int(array)
    raise ModelError(
        f"The ONNX file's constant '{name}' is of type "
        f"{TensorProto.DataType.Name(constant.data_type)}, only 32-bit floats are read",
        given=path,
        do="export the model in float32",
    )
