"""Recurrent layers: each layer and direction has its own states, which are its units.

Gates stand one below the other in the weights, so that a state has one row in each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from sksparse._typing import Indices
from sksparse.module_graph._shape_rules import unknown
from sksparse.module_graph._value import Value
from sksparse.module_graph._walk import Walk


def recurrent(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, hx: Any = None) -> Any:
    """Layers of LSTM, GRU or plain recurrent states, in one or both directions."""
    if layer.proj_size:
        walk.obstruct(node, f"{name!r} projects its states (proj_size), which is not followed")
        return unknown(node.meta["shape"])
    output, last = node.meta["shape"]
    n_positions = math.prod(output[:-1])
    read, stack = walk.read(x, -1), []
    for number in range(layer.num_layers):
        written = []
        for suffix in ("", "_reverse") if layer.bidirectional else ("",):
            tensors = [
                getattr(layer, f"{kind}_l{number}{suffix}")
                for kind in ("weight_ih", "weight_hh") + ("bias_ih", "bias_hh") * layer.bias
            ]
            written.append(_states(walk, name, tensors, read, layer.hidden_size, n_positions))
        stack += written
        read = np.concatenate(written)
    labels = torch.from_numpy(np.stack(stack))
    _start(walk, node, name, labels, hx)
    lasts = _several(walk, last, labels)
    return Value(tuple(output), len(output) - 1, read), lasts


def cell(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, hx: Any = None) -> Any:
    """One step of a recurrent layer."""
    shape = node.meta["shape"]
    first = shape if isinstance(shape, torch.Size) else shape[0]
    tensors = [layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh]
    n_positions = math.prod(first[:-1])
    units = _states(walk, name, tensors, walk.read(x, -1), layer.hidden_size, n_positions)
    labels = torch.from_numpy(units)
    _start(walk, node, name, labels, hx)
    return _several(walk, shape, labels)


def _states(
    walk: Walk, name: str, tensors: list[Any], read: Indices, n_states: int, n_positions: float
) -> Indices:
    """The states of one layer and direction: rows of all gates, and columns from step to step."""
    units = walk.new_units(n_states)
    by_input, by_state, *_ = tensors
    rows = np.tile(units, len(by_input) // n_states)
    for tensor in tensors:
        walk.note(name, tensor, 0, rows, "writes")
    walk.note(name, by_input, 1, read, "reads")
    walk.note(name, by_state, 1, units, "reads")
    walk.count(by_input, n_positions)
    walk.count(by_state, n_positions)
    return units


def _several(walk: Walk, shape: Any, labels: torch.Tensor) -> Any:
    """One or two states of the same units."""
    if isinstance(shape, torch.Size):
        spread = labels if labels.ndim == 1 or len(shape) < 3 else labels[:, None]
        return walk.value_of(spread.expand(shape))
    return tuple(_several(walk, one, labels) for one in shape)


def _start(walk: Walk, node: fx.Node, name: str, labels: torch.Tensor, states: Any) -> None:
    """States to start from have the units of the states that follow."""
    for start in _values_in(states):
        own = _several(walk, torch.Size(start.shape), labels)
        if start.stacked is not None and start.shape == own.shape and own.stacked is not None:
            walk.unite(start.stacked.numpy().ravel(), own.stacked.numpy().ravel())
        elif start.axis is not None and start.axis == own.axis:
            walk.unite(start.units, own.units)
        else:
            walk.keep_values_whole([start], f"{name!r} starts from them")
            what = f"{name!r} starts from states of fixed width; without any it starts from zeros"
            walk.obstruct(node, what, own.all_units)


def _values_in(states: Any) -> Iterator[Value]:
    if isinstance(states, Value):
        yield states
    elif states is not None:
        for one in states:
            yield from _values_in(one)


RECURRENT_LAYERS: dict[type[nn.Module], Any] = {
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), recurrent),
    **dict.fromkeys((nn.LSTMCell, nn.GRUCell, nn.RNNCell), cell),
}
