"""What layers and functions do with units: one rule for each, found by type or name."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.nn import functional

from sksparse.module_graph._walk import Value, Walk

#: Takes the walk, the call, its name, its layer (None for functions) and its arguments with values
#: in the place of tensors, and returns the value of its result.
Rule = Callable[..., Any]


def linear(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A matrix times the last axis."""
    shape = node.meta["shape"]
    walk.note(name, layer.weight, 1, walk.read(x, len(x.shape) - 1), "reads")
    units = walk.new_units(layer.out_features)
    walk.note(name, layer.weight, 0, units, "writes")
    walk.note(name, layer.bias, 0, units, "writes")
    walk.count(layer.weight, math.prod(shape[1:-1]))
    return Value(tuple(shape), len(shape) - 1, units)


def convolution(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A convolution over all channels, or over each of them by itself (depthwise)."""
    shape = node.meta["shape"]
    read = walk.read(x, 1)
    walk.count(layer.weight, math.prod(shape[2:]))
    if layer.groups == 1:
        walk.note(name, layer.weight, 1, read, "reads")
        units = walk.new_units(layer.out_channels)
        walk.note(name, layer.weight, 0, units, "writes")
        walk.note(name, layer.bias, 0, units, "writes")
        return Value(tuple(shape), 1, units)
    if layer.groups == layer.in_channels == layer.out_channels:
        walk.note(name, layer.weight, 0, read, "scales")
        walk.note(name, layer.bias, 0, read, "scales")
        return x.like(shape)
    walk.obstruct(node, f"{name!r} is a convolution in {layer.groups} groups")
    return Value(tuple(shape), 1, walk.new_units(shape[1]))


def batch_norm(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A scale and a shift of each unit."""
    units = walk.read(x, 1)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        walk.note(name, tensor, 0, units, "scales")
    return x


def of_units(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any) -> Any:
    """A function of each unit by itself, at one position or several."""
    return x.like(node.meta["shape"])


def flatten(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, start: int = 0, end: int = -1
) -> Value:
    """Several axes become one."""
    if layer is not None:
        start, end = layer.start_dim, layer.end_dim
    n = len(x.shape)
    start, end = start % n, end % n
    shape = tuple(node.meta["shape"])
    if x.axis is None:
        return Value(shape, None, x.units, x.is_input)
    if not start <= x.axis <= end:
        return x.like(shape, x.axis if x.axis < start else x.axis - (end - start))
    if start == 0:
        walk.obstruct(node, f"{name!r} flattens the rows")
    spread = [1] * (end - start + 1)
    spread[x.axis - start] = -1
    units = np.broadcast_to(x.units.reshape(spread), x.shape[start : end + 1]).ravel()
    return Value(shape, start, units)


def add(walk: Walk, node: fx.Node, name: str, layer: Any, a: Any, b: Any, **_: Any) -> Value:
    """A sum or product of two tensors: units at the same positions are one."""
    shape = tuple(node.meta["shape"])
    values = [v for v in (a, b) if isinstance(v, Value) and v.axis is not None]
    if not values:
        return Value(shape)
    first = values[0]
    offset = len(shape) - len(first.shape)
    for other in values[1:]:
        here = first.axis + offset  # type: ignore[operator]
        if other.axis + len(shape) - len(other.shape) == here and (  # type: ignore[operator]
            len(other.units) == len(first.units)
        ):
            walk.unite(first.units, other.units)
        else:
            walk.obstruct(node, f"{name!r} of tensors whose units are not on one axis")
    return first.like(shape, first.axis + offset)  # type: ignore[operator]


def concatenate(
    walk: Walk, node: fx.Node, name: str, layer: Any, values: Any, dim: int = 0, **_: Any
) -> Value:
    """Values side by side."""
    shape = tuple(node.meta["shape"])
    dim %= len(shape)
    axes = {v.axis for v in values}
    if axes == {dim}:
        return Value(shape, dim, np.concatenate([v.units for v in values]))
    walk.obstruct(node, f"{name!r} joins tensors along an axis that is not that of their units")
    return Value(shape)


_ELEMENTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU),
    *(nn.Mish, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish),
    *(nn.Identity, nn.Dropout, nn.AlphaDropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
)
_POOLING = (
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
)

#: Rules of layers, by their exact types: a subclass may compute anything.
LAYER_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Conv3d: convolution,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.Flatten: flatten,
    **dict.fromkeys((*_ELEMENTWISE, *_POOLING), of_units),
}

#: Rules of functions, and of methods of tensors by their names.
FUNCTION_RULES: dict[Any, Rule] = {
    torch.flatten: flatten,
    "flatten": flatten,
    **dict.fromkeys((operator.add, operator.mul, torch.add, torch.mul, "add", "mul"), add),
    torch.cat: concatenate,
    **dict.fromkeys((torch.relu, functional.relu, torch.tanh, torch.sigmoid, "relu"), of_units),
    **dict.fromkeys((functional.max_pool2d, functional.avg_pool2d, functional.dropout), of_units),
}
