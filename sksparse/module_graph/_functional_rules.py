"""Layers as functions of parameters, and products of tensors."""

from __future__ import annotations

import math
from typing import Any, cast

from torch import fx

from sksparse.module_graph._value import Value
from sksparse.module_graph._walk import Walk


def product(walk: Walk, node: fx.Node, name: str, layer: Any, a: Value, b: Value) -> Value:
    """A product of matrices: what is summed over keeps its width."""
    if len(b.shape) == 2 and b.parameter:
        return _weighted(walk, node, name, a, -1, b, (0, 1), None)
    shape = tuple(node.meta["shape"])
    walk.other_multiply_adds += math.prod(shape) * a.shape[-1] / walk.n_rows
    why = f"{name!r} adds up over them"
    if b.axis is not None and len(b.shape) > 1 and b.axis == len(b.shape) - 1:
        walk.keep_values_whole([a], why)
        return Value(shape, len(shape) - 1, b.units)
    if a.axis is not None and len(b.shape) > 1 and a.axis == len(a.shape) - 2:
        walk.keep_values_whole([b], why)
        return Value(shape, len(shape) - 2, a.units)
    walk.keep_values_whole([a, b], why)
    return Value(shape)


def linear(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, weight: Value, bias: Any = None
) -> Value:
    """A matrix times the last axis."""
    return _weighted(walk, node, name, x, -1, weight, (1, 0), bias)


def convolution(
    walk: Walk,
    node: fx.Node,
    name: str,
    layer: Any,
    x: Value,
    weight: Value,
    bias: Any = None,
    *args: Any,
    **kw: Any,
) -> Value:
    """A convolution; the number of groups is in the code, so that these keep their channels."""
    shape, axis = tuple(node.meta["shape"]), len(x.shape) - len(weight.shape) + 1
    if weight.shape[1] == x.shape[axis]:
        return _weighted(walk, node, name, x, axis, weight, (1, 0), bias)
    walk.keep_whole(walk.read(x, axis), f"{name!r} has its groups in the code")
    if weight.parameter:
        walk.count(weight.parameter, math.prod(shape) / shape[axis])
    return Value(shape)


def _weighted(
    walk: Walk,
    node: fx.Node,
    name: str,
    x: Value,
    axis: int,
    weight: Value,
    axes: tuple[int, int],
    bias: Any,
) -> Value:
    """A value times parameters that are read along one of their axes and written along another."""
    shape = tuple(node.meta["shape"])
    axis %= len(x.shape)
    read = walk.read(x, axis)
    of_sources = [[part.whole_axis(k) for k in axes] for part in weight.parts]
    if (
        not weight.parameter
        or any(part.is_computed for part in weight.parts)
        or any(None in found for found in of_sources)
    ):
        walk.obstruct(node, f"{name!r} has weights that are computed")
        return Value(shape)
    units = walk.new_units(shape[axis])
    owner = weight.parameter.rpartition(".")[0]
    called = f"{owner}.{node.name}" if owner else node.name  # another name for each call
    for part, (reads, writes) in zip(weight.parts, of_sources, strict=True):
        walk.note(called, part.source.name, cast("int", reads), read, "reads")
        walk.note(called, part.source.name, cast("int", writes), units, "writes")
    walk.count(weight.parameter, math.prod(shape) / shape[axis])
    if isinstance(bias, Value):
        walk.meet(bias, len(bias.shape) - 1, units, called, "writes")
    return Value(shape, axis, units)


def normalise_each(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *args: Any, **kw: Any
) -> Value:
    """Statistics, scales and slopes of each channel by itself."""
    units = walk.read(x, 1)
    for value in (*args, *kw.values()):
        if isinstance(value, Value) and value.shape == (len(units),) != (1,):
            walk.meet(value, 0, units, name, "scales")
    return Value(x.shape, 1, units)


def normalise_axes(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, sizes: Any, *_: Any, **__: Any
) -> Value:
    """A norm over the last axes, which keeps units whole where it runs over them."""
    if x.axis is None or x.axis >= len(x.shape) - len(sizes):
        walk.keep_whole(walk.read(x, -1), f"they are normalised over together by {name!r}")
        walk.keep_values_whole([x], f"they are normalised over together by {name!r}")
    return x


def normalise_groups(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any
) -> Value:
    """A norm over groups of channels whose number is in the code."""
    units = walk.read(x, 1)
    walk.keep_whole(units, f"{name!r} has its groups in the code")
    return Value(x.shape, 1, units)


def embedding(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, weight: Value, *_: Any, **__: Any
) -> Value:
    """A row of a table for each token."""
    shape = tuple(node.meta["shape"])
    units = walk.new_units(shape[-1])
    walk.meet(weight, 1, units, name, "writes")
    walk.keep_values_whole([x], "they are tokens")
    return Value(shape, len(shape) - 1, units)


def attend(
    walk: Walk,
    node: fx.Node,
    name: str,
    layer: Any,
    query: Value,
    key: Value,
    value: Value,
    *_: Any,
    **__: Any,
) -> Value:
    """Attention: queries and keys are multiplied, and values added up over the positions."""
    shape = tuple(node.meta["shape"])
    n_products = math.prod(shape[:-1]) * key.shape[-2] * (query.shape[-1] + shape[-1])
    walk.other_multiply_adds += n_products / walk.n_rows
    walk.keep_values_whole([query, key], f"{name!r} adds up over them")
    if value.axis == len(value.shape) - 1:
        return Value(shape, len(shape) - 1, value.units)
    walk.keep_values_whole([value], f"{name!r} adds up over them")
    return Value(shape)
