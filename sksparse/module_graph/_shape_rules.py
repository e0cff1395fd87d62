"""Functions that move positions, and sizes that the code takes from tensors.

What a function does to units is found by moving the units' numbers, as they are and doubled.
Products of sizes follow the units that they count; other computations with them fix these.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx.node import map_aggregate

from sksparse.module_graph._value import OpenPart, Size, Value, line_along
from sksparse.module_graph._walk import Walk

_PRODUCTS = (operator.mul, operator.imul, math.prod)
#: Units' numbers are expanded, so that they cannot be viewed as the tensor itself.
_COPYING = {"view": "reshape", "view_as": "reshape_as"}
_BY_POSITION = "picks units by their position"
_HARD_CODED = (
    "has the number of units in the code; take it from the tensor, as in x.flatten(1), "
    "x.view(x.size(0), -1) or nn.Unflatten(1, (-1, 7, 7))"
)


def move(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *args: Any, **kw: Any) -> Any:
    """A function that moves or copies positions, whatever the number of units."""
    return _like(node.meta["shape"], iter(_moved(walk, node, layer, x, args, kw)))


def squeeze(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *args: Any, **kw: Any
) -> Any:
    """Axes of length one go, among them that of the units if there was only one."""
    given = [*args, *kw.values()] or [range(len(x.shape))]
    dims = given[0] if isinstance(given[0], tuple | list | range) else given
    if x.axis in [dim % len(x.shape) for dim in dims]:
        walk.keep_whole(x.units[:2], f"{name!r} would drop the axis of a single unit")
    return move(walk, node, name, layer, x, *args, **kw)


def pick(walk: Walk, node: fx.Node, name: str, layer: Any, x: Any, *args: Any, **kw: Any) -> Any:
    """A function that picks positions by their numbers, which may not be those of units."""
    if not isinstance(x, Value):
        return x[args[0]]  # one of several results
    values = _moved(walk, node, layer, x, args, kw)
    if [value.shape for value in values] != _shapes(node.meta["shape"]):
        walk.keep_values_whole([x], f"{name!r} picks what the data say")
        return unknown(node.meta["shape"])
    if (x.axis is not None or x.stacked is not None) and not (
        _keeps_lines(x, values) and _keeps_fewer(walk, node, layer, x, args, kw)
    ):
        walk.obstruct(node, f"{name!r} {_BY_POSITION}", x.all_units)
    for part in x.parts:
        lost = {axis for value in values for axis in _lost_axes(part, value)}
        walk.keep_source_whole(part.source, _BY_POSITION, lost)
    return _like(node.meta["shape"], iter(values))


def resize(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *args: Any, **kw: Any
) -> Any:
    """A new shape, in which the axis of units must take its size from the tensor itself."""
    (value,) = _moved(walk, node, layer, x, args, kw)
    sizes = _sizes(node, layer, x, args, kw)
    if x.axis is None and x.stacked is None:
        if any(type(size) is int and size > 1 for size in sizes):
            walk.keep_values_whole([x], f"{name!r} has their number in the code")
        return value
    if value.stacked is not None and x.stacked is None:
        value = _split(walk, value, sizes)
    for axis, size in enumerate(sizes):
        if value.axis == axis and size != -1:
            _take_from(walk, node, name, value, size)
        elif isinstance(size, Size):
            walk.fix(size)
    if value.axis is None:
        walk.obstruct(node, f"{name!r} {_HARD_CODED}", x.all_units)
    return value


def _moved(walk: Walk, node: fx.Node, layer: Any, x: Value, args: Any, kw: Any) -> list[Value]:
    """The results, with the units or the positions in their sources."""
    given = map_aggregate((args, kw), _plain)
    if not x.axes and not x.parts:
        return [
            Value(tuple(moved.shape)) for moved in _call(node, layer, torch.empty(x.shape), given)
        ]
    doubled = map_aggregate((args, kw), _doubled)

    def both(positions: Tensor, two: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
        moved = _call(node, layer, positions, given)
        return zip(moved, _doubled_results(node, layer, two, doubled, moved), strict=True)

    if x.axes:
        return [walk.value_of(*pair) for pair in both(x.labels(), x.doubled_labels())]
    by_part = [
        [replace(p, moved=m, doubled=two) for m, two in both(p.positions, p.doubled_positions)]
        for p in x.parts
    ]
    return [
        Value(tuple(parts[0].positions.shape), parts=list(parts))
        for parts in zip(*by_part, strict=True)
    ]


def _call(node: fx.Node, layer: Any, positions: Tensor, given: Any) -> list[Tensor]:
    """The results of a call on other numbers."""
    args, kw = given
    if layer is not None:
        moved = layer.forward(positions, *args, **kw)
    elif isinstance(node.target, str):
        moved = getattr(positions, _COPYING.get(node.target, node.target))(*args, **kw)
    else:
        moved = node.target(positions, *args, **kw)
    return [moved] if isinstance(moved, Tensor) else list(moved)


def _doubled_results(
    node: fx.Node, layer: Any, positions: Tensor | None, given: Any, moved: list[Tensor]
) -> list[Tensor] | list[None]:
    """The results with two units in the place of each; None where the code has their number."""
    if positions is not None:
        try:
            found = _call(node, layer, positions, given)
        except (IndexError, RuntimeError, ValueError):
            found = []
        if [two.ndim for two in found] == [one.ndim for one in moved]:
            return found
    return [None] * len(moved)


def _plain(argument: Any) -> Any:
    """An argument as torch takes it; other tensors stand for their shapes."""
    if isinstance(argument, Size):
        return argument.number
    if isinstance(argument, Value):
        return torch.zeros(argument.shape, dtype=torch.long)
    return argument


def _doubled(argument: Any) -> Any:
    """The same with two units in the place of each."""
    if isinstance(argument, Size):
        factors = [v.doubled_shape[k] // v.shape[k] for v, k in argument.counted if v.shape[k]]
        return argument.number * math.prod(factors)
    if isinstance(argument, Value):
        return torch.zeros(argument.doubled_shape, dtype=torch.long)
    return argument


def _like(shapes: Any, values: Iterator[Value]) -> Any:
    """Values in the structure of the results."""
    if isinstance(shapes, torch.Size):
        return next(values)
    return tuple(_like(shape, values) for shape in shapes)


def _keeps_lines(x: Value, values: list[Value]) -> bool:
    """Whether units that stood side by side still do so, all of them in their order."""
    lines = _lines(x)
    return all(_lines(value) <= lines for value in values)


def _keeps_fewer(walk: Walk, node: fx.Node, layer: Any, x: Value, args: Any, kw: Any) -> bool:
    """Whether the same holds with one unit less, for positions that are in the code."""
    axis = x.axes[-1]
    n = x.shape[axis] - 1
    shape = tuple(n if k == axis else size for k, size in enumerate(x.shape))
    if not math.prod(shape):
        return True
    if x.stacked is None:
        less = Value(shape, axis, x.units[:-1])
    else:
        times = x.doubled_shape[axis] // x.shape[axis]
        two = None if x.doubled is None else x.doubled.narrow(axis, 0, n * times)
        less = Value(shape, stacked=x.stacked.narrow(axis, 0, n), doubled=two)
    try:
        return _keeps_lines(less, _moved(walk, node, layer, less, args, kw))
    except (IndexError, RuntimeError):
        return False


def _shapes(shapes: Any) -> list[tuple[int, ...]]:
    if isinstance(shapes, torch.Size):
        return [tuple(shapes)]
    return [found for shape in shapes for found in _shapes(shape)]


def unknown(shapes: Any) -> Any:
    """Values without units in the structure of the results."""
    if isinstance(shapes, torch.Size):
        return Value(tuple(shapes))
    return tuple(map(unknown, shapes)) if isinstance(shapes, tuple) else shapes


def _lines(value: Value) -> set[tuple[int, ...]]:
    """The units that stand side by side on the last axis along which they differ."""
    if value.axis is not None:
        return {tuple(value.units.tolist())}
    if value.stacked is None:
        return {()}
    axis = value.axes[-1]
    rows = value.stacked.movedim(axis, -1).reshape(-1, value.shape[axis])
    return {tuple(row) for row in torch.unique(rows, dim=0).tolist()}


def _lost_axes(part: OpenPart, value: Value) -> list[int]:
    """The axes of a source of which a value has not all positions."""
    found = [p.coordinates() for p in value.parts if p.source is part.source]
    axes = range(1, len(part.source.shape))
    return [k for k in axes if any(len(torch.unique(c[k])) < part.source.shape[k] for c in found)]


def _split(walk: Walk, value: Value, sizes: list[Any]) -> Value:
    """Couple what stands at one position of the only axis that can follow the units."""
    labels = value.labels()
    axes = [k for k in value.axes if isinstance(sizes[k], Size) or sizes[k] == -1]
    if len(axes) != 1:
        return Value(value.shape)
    lines = labels.movedim(axes[0], -1).reshape(-1, labels.shape[axes[0]]).numpy()
    for line in lines[1:]:
        walk.unite(lines[0], line)
    return Value(value.shape, axes[0], line_along(labels, axes[0]))


def _sizes(node: fx.Node, layer: Any, x: Value, args: Any, kw: Any) -> list[Any]:
    """The sizes that a call asks for, one for each axis of the result."""
    given = [*args, *kw.values()]
    if layer is not None:
        given = [layer.dim, layer.unflattened_size]
    if layer is not None or node.target in ("unflatten", torch.unflatten):
        dim = given[0] % len(x.shape)
        return [-1] * dim + list(given[1]) + [-1] * (len(x.shape) - dim - 1)
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return list(given[0])
    return given


def _take_from(walk: Walk, node: fx.Node, name: str, value: Value, size: Any) -> None:
    """The size of the axis of units comes from these units, or from units coupled to them."""
    if not isinstance(size, Size):
        walk.obstruct(node, f"{name!r} {_HARD_CODED}", value.units)
    elif np.array_equal(np.sort(size.units), np.sort(value.units)):
        pass
    elif len(size.units) == len(value.units):
        walk.unite(size.units, value.units)
    else:
        walk.fix(size)
        walk.keep_whole(value.units, "their number comes from another tensor")


def number(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """What a call that returns no tensor does with sizes."""
    if args and isinstance(args[0], Value) and node.target in ("size", getattr):
        return _asked(walk, args)
    if node.target is operator.getitem:
        return args[0][_fixed(walk, args[1])]
    sizes = list(sizes_in(args))
    if node.target in _PRODUCTS and sizes:
        return Size(node.meta["shape"], tuple(pair for size in sizes for pair in size.counted))
    for size in sizes:
        walk.fix(size)
    return node.meta["shape"]


def _asked(walk: Walk, args: tuple[Any, ...]) -> Any:
    """The size along one axis, or along all."""
    value = args[0]
    sizes = tuple(_size(value, axis) for axis in range(len(value.shape)))
    if len(args) > 1 and isinstance(args[1], int):
        return sizes[args[1]]
    return sizes


def _size(value: Value, axis: int) -> Any:
    has_rows = axis == 0 and value.is_input
    follows = axis in value.axes or (value.parts and not has_rows)
    return Size(value.shape[axis], ((value, axis),)) if follows else value.shape[axis]


def _fixed(walk: Walk, item: Any) -> Any:
    for size in sizes_in(item):
        walk.fix(size)
    return map_aggregate(item, lambda i: i.number if isinstance(i, Size) else i)


def sizes_in(argument: Any) -> Iterator[Size]:
    """All sizes in the arguments of a call."""
    if isinstance(argument, Size):
        yield argument
    elif isinstance(argument, slice):
        yield from sizes_in((argument.start, argument.stop, argument.step))
    elif isinstance(argument, dict):
        yield from sizes_in(list(argument.values()))
    elif isinstance(argument, tuple | list):
        for item in argument:
            yield from sizes_in(item)


MOVES = (
    *("permute", "transpose", "transpose_", "swapaxes", "swapdims", "t", "movedim", "moveaxis"),
    *("unsqueeze", "unsqueeze_", "flatten", "ravel", "flip", "repeat"),
    *("tile", "expand_as", "view_as", "reshape_as", "repeat_interleave", "getattr"),
)
PICKS = (
    *("getitem", "narrow", "select", "index_select", "chunk", "split", "tensor_split", "unbind"),
    *("unfold", "diagonal", "hsplit", "vsplit", "roll"),
)
RESIZES = ("view", "reshape", "expand", "broadcast_to", "unflatten")
