"""Layers with weights: which units their rows make and their columns read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import fx, nn

from sksparse._typing import Indices
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


#: Rules of layers, by their exact types: a subclass may compute anything.
WEIGHT_LAYERS: dict[type[nn.Module], Any] = {
    nn.Linear: linear,
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
}
