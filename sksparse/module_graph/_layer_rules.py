"""Layers with weights: which units their rows make and their columns read.

Each layer and direction of a recurrent layer has its own states, which are its units. Gates stand
one below the other in the weights, so that a state has one row in each.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from sksparse._typing import Indices
from sksparse.layers._hashed_linear import HashedLinear
from sksparse.layers._low_rank_linear import LowRankLinear
from sksparse.module_graph._shape_rules import unknown
from sksparse.module_graph._value import Value
from sksparse.module_graph._walk import Walk


def linear(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A matrix times the last axis."""
    shape = tuple(node.meta["shape"])
    walk.note(name, layer.weight, 1, walk.read(x, -1), "reads")
    units = walk.new_units(layer.out_features)
    walk.note(name, layer.weight, 0, units, "writes")
    walk.note(name, layer.bias, 0, units, "writes")
    walk.count(layer.weight, math.prod(shape[:-1]))
    return Value(shape, len(shape) - 1, units)


def compressed(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A matrix that follows from fewer numbers, of which none belongs to one unit."""
    shape, why = tuple(node.meta["shape"]), f"{name!r} follows from fewer numbers than it has units"
    walk.read(x, -1)
    walk.keep_values_whole([x], why)
    # each value stands in so many places
    walk.count(layer.values, math.prod(shape) * layer.in_features / layer.values.numel())
    return Value(shape, len(shape) - 1, walk.whole_units(shape[-1], why))


def convolution(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A convolution over all channels, or within groups of them."""
    shape, axis = tuple(node.meta["shape"]), _channels(layer, x)
    read = walk.read(x, axis)
    walk.count(layer.weight, math.prod(shape) / shape[axis])
    if layer.groups == 1:
        walk.note(name, layer.weight, 1, read, "reads")
        units = walk.new_units(layer.out_channels)
        walk.note(name, layer.weight, 0, units, "writes")
        walk.note(name, layer.bias, 0, units, "writes")
    else:
        units = couple_groups(walk, read, layer.groups, layer.out_channels)
        walk.note(name, layer.weight, 0, units, "scales")
        walk.note(name, layer.bias, 0, units, "scales")
    return Value(shape, axis, units)


def transposed_convolution(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any
) -> Value:
    """A transposed convolution, whose weights have the channels that are read in front."""
    shape, axis = tuple(node.meta["shape"]), _channels(layer, x)
    read = walk.read(x, axis)
    walk.count(layer.weight, math.prod(x.shape) / x.shape[axis])
    if layer.groups == 1:
        walk.note(name, layer.weight, 0, read, "reads")
        units = walk.new_units(layer.out_channels)
        walk.note(name, layer.weight, 1, units, "writes")
        walk.note(name, layer.bias, 0, units, "writes")
    else:
        units = couple_groups(walk, read, layer.groups, layer.out_channels)
        walk.note(name, layer.weight, 0, read, "scales")
        walk.note(name, layer.bias, 0, units, "scales")
    return Value(shape, axis, units)


def couple_groups(walk: Walk, read: Indices, n_groups: int, n_written: int) -> Indices:
    """Make each group of channels one unit, which a layer maps to itself.

    Groups of one channel are that channel, and what is written from it belongs to it.
    """
    groups = read.reshape(n_groups, -1)
    for column in groups.T[1:]:
        walk.unite(groups[:, 0].copy(), column.copy())
    return np.repeat(groups[:, 0], n_written // n_groups)


def _channels(layer: Any, x: Value) -> int:
    return len(x.shape) - len(layer.kernel_size) - 1


def embedding(
    walk: Walk, node: fx.Node, name: str, layer: Any, x: Value, *_: Any, **__: Any
) -> Value:
    """A row of a table for each token."""
    shape = tuple(node.meta["shape"])
    units = walk.new_units(layer.embedding_dim)
    walk.note(name, layer.weight, 1, units, "writes")
    if layer.max_norm is not None:
        walk.keep_whole(units, f"{name!r} limits the norm of its rows")
    walk.keep_values_whole([x], "they are tokens")
    return Value(shape, len(shape) - 1, units)


def prelu(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A slope for all units or one for each."""
    if layer.num_parameters > 1:
        walk.note(name, layer.weight, 0, walk.read(x, 1), "scales")
    return x


def batch_norm(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A scale and a shift of each unit."""
    units = walk.read(x, 1)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        walk.note(name, tensor, 0, units, "scales")
    return Value(x.shape, 1, units)


def instance_norm(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """Each channel of each row divided by its own norm, a scale and a shift."""
    n_positions = {"InstanceNorm1d": 1, "InstanceNorm2d": 2, "InstanceNorm3d": 3}
    axis = len(x.shape) - 1 - n_positions[type(layer).__name__]
    units = walk.read(x, axis)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        walk.note(name, tensor, 0, units, "scales")
    return Value(x.shape, axis, units)


def group_norm(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """Channels of a group divided by their common norm: a group is one unit."""
    units = couple_groups(walk, walk.read(x, 1), layer.num_groups, layer.num_channels)
    if layer.num_groups == 1:
        walk.keep_whole(units, f"they are normalised over together by {name!r}")
    walk.note(name, layer.weight, 0, units, "scales")
    walk.note(name, layer.bias, 0, units, "scales")
    return Value(x.shape, 1, units)


def layer_norm(walk: Walk, node: fx.Node, name: str, layer: Any, x: Value) -> Value:
    """A norm over the last axes, which keeps units whole where it runs over them."""
    first = len(x.shape) - len(layer.normalized_shape)
    if x.is_input and x.axis is None:
        walk.read(x, -1)
    if x.axis is None or x.axis >= first:
        walk.keep_values_whole([x], f"they are normalised over together by {name!r}")
    return x


def attention(
    walk: Walk,
    node: fx.Node,
    name: str,
    layer: Any,
    query: Value,
    key: Value,
    value: Value,
    *_: Any,
    **__: Any,
) -> Any:
    """Attention of several heads, whose widths are kept."""
    why = f"{name!r} keeps its width"
    for one in (query, key, value):
        walk.read(one, -1)
        walk.keep_values_whole([one], why)
    asked, others = (math.prod(v.shape[:-1]) for v in (query, key))
    width = layer.embed_dim
    if layer.in_proj_weight is not None:
        walk.count(layer.in_proj_weight, (asked + 2 * others) / 3)
    else:
        walk.count(layer.q_proj_weight, asked)
        walk.count(layer.k_proj_weight, others)
        walk.count(layer.v_proj_weight, others)
    walk.count(layer.out_proj.weight, asked)
    axis = 1 if layer.batch_first else 0
    walk.other_multiply_adds += 2 * asked * key.shape[axis] * width / walk.n_rows
    shape, weights = node.meta["shape"]
    units = walk.whole_units(shape[-1], why)
    return Value(tuple(shape), len(shape) - 1, units), None if weights is None else Value(weights)


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
        doubled = torch.stack([spread, -1 - spread], -1).flatten(-2)
        return walk.value_of(spread.expand(shape), doubled.expand(*shape[:-1], -1))
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


#: Rules of layers with weights, by their exact types.
WEIGHT_LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: linear,
    **dict.fromkeys((HashedLinear, LowRankLinear), compressed),
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), convolution),
    **dict.fromkeys(
        (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), transposed_convolution
    ),
    **dict.fromkeys((nn.Embedding, nn.EmbeddingBag), embedding),
    nn.PReLU: prelu,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), batch_norm),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), instance_norm),
    nn.GroupNorm: group_norm,
    **dict.fromkeys((nn.LayerNorm, nn.RMSNorm), layer_norm),
    nn.MultiheadAttention: attention,
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), recurrent),
    **dict.fromkeys((nn.LSTMCell, nn.GRUCell, nn.RNNCell), cell),
}
