"""Numbers that the code takes from shapes: products of sizes follow the units, others fix them."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Any

from torch import fx
from torch.fx.node import map_aggregate

from sksparse.module_graph._value import Size, Value
from sksparse.module_graph._walk import Walk

_PRODUCTS = (operator.mul, operator.imul, math.prod)


def number(walk: Walk, node: fx.Node, args: tuple[Any, ...]) -> Any:
    """What a call that returns no tensor does with sizes."""
    if args and isinstance(args[0], Value) and node.target in ("size", getattr):
        return _asked(walk, args)
    if node.target is operator.getitem:
        return args[0][_fixed(walk, args[1])]
    sizes = list(_sizes_in(args))
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
    follows = value.axis == axis or (value.parts and not has_rows) or value.stacked is not None
    return Size(value.shape[axis], ((value, axis),)) if follows else value.shape[axis]


def _fixed(walk: Walk, item: Any) -> Any:
    for size in _sizes_in(item):
        walk.fix(size)
    return map_aggregate(item, lambda i: i.number if isinstance(i, Size) else i)


def _sizes_in(argument: Any) -> Iterator[Size]:
    if isinstance(argument, Size):
        yield argument
    elif isinstance(argument, tuple | list):
        for item in argument:
            yield from _sizes_in(item)
