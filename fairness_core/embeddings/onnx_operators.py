"""The ONNX operators that face recognition models are made of, in torch and differentiable.

A value is a tensor, or for shapes and axes a number or a tuple of numbers: these never depend on
the contents of a tensor, so a graph also runs on tensors without any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

__all__ = ["OPERATORS", "Value"]

Value = Tensor | int | tuple[int, ...]
# Takes the node's attributes and its inputs; None stands for an optional input left out.
Operator = Callable[..., Value]


def _only(told: Mapping[str, Any], **allowed: Any) -> None:
    """Refuse attributes with other values than the one that is computed here.

    Raises:
        ValueError: An attribute has another value.
    """
    for name, value in allowed.items():
        if told.get(name, value) != value:
            raise ValueError(f"only {name}={value!r} is known here, not {told[name]!r}")


def _tensors(*values: Any) -> None:
    if not all(isinstance(value, Tensor) for value in values):
        raise ValueError("arithmetic on shapes is not known here")


def _conv(told: Mapping[str, Any], x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    _only(told, auto_pad=b"NOTSET")
    if weight.dim() != 4:
        raise ValueError("only convolutions of pictures are known here")
    top, left, bottom, right = told.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        x = F.pad(x, (left, right, top, bottom))
        top = left = 0
    return F.conv2d(
        x,
        weight,
        bias,
        stride=tuple(told.get("strides", (1, 1))),
        padding=(top, left),
        dilation=tuple(told.get("dilations", (1, 1))),
        groups=told.get("group", 1),
    )


def _batch_norm(
    told: Mapping[str, Any], x: Tensor, scale: Tensor, shift: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    _only(told, training_mode=0, spatial=1)
    return F.batch_norm(x, mean, variance, scale, shift, False, 0.0, told.get("epsilon", 1e-5))


def _instance_norm(told: Mapping[str, Any], x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=shift, eps=told.get("epsilon", 1e-5))


def _prelu(told: Mapping[str, Any], x: Tensor, slope: Tensor) -> Tensor:
    channels = x.shape[1] if x.dim() > 1 else 1
    if slope.numel() == 1 or tuple(slope.shape) == (channels,) + (1,) * (x.dim() - 2):
        return F.prelu(x, slope.flatten())  # keeps less for the gradient than the general form
    return torch.where(x >= 0, x, slope * x)


def _flatten(told: Mapping[str, Any], x: Tensor) -> Tensor:
    axis = told.get("axis", 1)
    return x.flatten(1) if axis == 1 else x.reshape(math.prod(x.shape[:axis]), -1)


def _reshape(told: Mapping[str, Any], x: Tensor, shape: Sequence[int]) -> Tensor:
    _only(told, allowzero=0)
    sizes = [x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)]
    if sizes[0] == 1:
        # A graph traced with one picture says 1 where it means the batch.
        sizes[0] = x.shape[0]
    return x.reshape(sizes)


def _gemm(told: Mapping[str, Any], a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if told.get("transA", 0) else a
    b = b.T if told.get("transB", 0) else b
    alpha, beta = told.get("alpha", 1.0), told.get("beta", 1.0)
    product = a @ b
    product = product if alpha == 1 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1 else beta * c)


def _arithmetic(apply: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def operator(told: Mapping[str, Any], a: Any, b: Any) -> Tensor:
        _tensors(a, b)
        return apply(a, b)

    return operator


def _same(told: Mapping[str, Any], x: Value, *unused: Any) -> Value:
    return x


def _average(told: Mapping[str, Any], x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


def _length(told: Mapping[str, Any], x: Tensor, axes: Any = None) -> Tensor:
    found = _axes(told, axes)
    length: Tensor = torch.linalg.vector_norm(
        x, dim=found or tuple(range(x.dim())), keepdim=bool(told.get("keepdims", 1))
    )
    return length


def _shape(told: Mapping[str, Any], x: Tensor) -> tuple[int, ...]:
    return tuple(x.shape)[told.get("start", 0) : told.get("end")]


def _gather(told: Mapping[str, Any], data: Any, index: Any) -> int | tuple[int, ...]:
    _only(told, axis=0)
    if not isinstance(data, tuple):
        raise ValueError("only parts of a shape are gathered here")
    return tuple(data[i] for i in index) if isinstance(index, tuple) else int(data[index])


def _concat(told: Mapping[str, Any], *parts: Any) -> Value:
    if all(isinstance(part, tuple) for part in parts):
        return tuple(number for part in parts for number in part)
    _tensors(*parts)
    return torch.cat(parts, dim=told["axis"])


def _unsqueeze(told: Mapping[str, Any], x: Any, axes: Any = None) -> Value:
    found = _axes(told, axes)
    if isinstance(x, int):
        return (x,)
    _tensors(x)
    rank = x.dim() + len(found)
    for axis in sorted(axis % rank for axis in found):
        x = x.unsqueeze(axis)
    out: Tensor = x
    return out


def _squeeze(told: Mapping[str, Any], x: Any, axes: Any = None) -> Value:
    if isinstance(x, tuple):
        (number,) = x
        return int(number)
    _tensors(x)
    found = _axes(told, axes)
    if not found:
        raise ValueError("Squeeze needs its axes here")
    out: Tensor = x.squeeze(found)
    return out


def _axes(told: Mapping[str, Any], given: Any) -> tuple[int, ...]:
    """Axes as an attribute (older operator sets) or as an input."""
    found = told.get("axes", ()) if given is None else given
    return (found,) if isinstance(found, int) else tuple(found)


OPERATORS: Mapping[str, Operator] = {
    "Add": _arithmetic(torch.add),
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _arithmetic(torch.div),
    "Dropout": _same,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": _average,
    "Identity": _same,
    "InstanceNormalization": _instance_norm,
    "MatMul": _arithmetic(torch.matmul),
    "Mul": _arithmetic(torch.mul),
    "PRelu": _prelu,
    "ReduceL2": _length,
    "Relu": lambda told, x: F.relu(x),
    "Reshape": _reshape,
    "Shape": _shape,
    "Squeeze": _squeeze,
    "Sub": _arithmetic(torch.sub),
    "Unsqueeze": _unsqueeze,
}
