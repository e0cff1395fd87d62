"""Cutting units out of a module: its parameters get smaller, its layers stay what they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sksparse._typing import Indices, Mask
from sksparse.module_graph._graph import ModuleGraph
from sksparse.module_graph._value import Value

#: For each axis of a parameter the positions that are left, None where all are.
Kept = tuple[Indices | None, ...]


def resize(graph: ModuleGraph, keep: Mask) -> dict[str, Kept]:
    """Cut units out of the module of a graph, in place.

    Every position of a parameter or buffer that belongs to a removed unit goes, and the attributes
    of the layers (``in_features``, ``out_channels``, ``groups`` and so on) follow. Parameters stay
    the same objects, so that tied ones stay tied; their gradients are dropped. The graph then
    describes a module that is no more: make a new one.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of the module, which must have been followed.
    keep : ndarray of shape (graph.n_units,)
        Boolean: the units that stay. Where an ``nn.LSTM`` or ``nn.GRU`` has several layers or
        directions, which have one width, see ``even``, whose answer is used.

    Returns
    -------
    kept : dict of str to tuple
        For each parameter and buffer with units, one entry for each axis: the positions that are
        left, or None where all are.
    """
    keep = even(graph, keep)
    tensors = {**dict(graph.module.named_parameters()), **dict(graph.module.named_buffers())}
    kept: dict[str, Kept] = {}
    with torch.no_grad():
        for name, positions in kept_positions(graph, keep).items():
            kept[name] = positions
            if any(p is not None for p in positions):
                tensors[name].grad = None
                tensors[name].data = _cut(tensors[name].data, positions)
    # a layer that is called several times follows once
    calls = {step.layer: step for step in graph.steps if type(step.layer) in _ATTRIBUTES}
    for layer, step in calls.items():
        value = step.output
        width = int(keep[graph.units_of(value)].sum()) if isinstance(value, Value) else 0
        _ATTRIBUTES[type(layer)](layer, width)
    return kept


def kept_positions(graph: ModuleGraph, keep: Mask) -> dict[str, Kept]:
    """Which positions of each parameter and buffer are left when only some units are kept.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module.
    keep : ndarray of shape (graph.n_units,)
        Boolean.

    Returns
    -------
    kept : dict of str to tuple
        As ``resize`` returns it.
    """
    tensors = {**dict(graph.module.named_parameters()), **dict(graph.module.named_buffers())}
    kept: dict[str, Kept] = {}
    for slot in graph.slots:
        axes = list(kept.get(slot.tensor, (None,) * tensors[slot.tensor].ndim))
        if not keep[slot.units].all():
            axes[slot.axis] = np.flatnonzero(keep[slot.units])
        kept[slot.tensor] = tuple(axes)
    return kept


def flat_positions(shapes: Mapping[str, tuple[int, ...]], kept: Mapping[str, Kept]) -> Indices:
    """Where what is left of parameters stood when they were one flat array.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        The shapes of the parameters before they were cut, in their order in the flat array.
    kept : mapping of str to tuple
        What ``resize`` returned.

    Returns
    -------
    positions : ndarray
        Positions in the old flat array, in the order of the new one.
    """
    parts = [np.empty(0, dtype=np.intp)]
    start = 0
    for name, shape in shapes.items():
        axes = kept.get(name, (None,) * len(shape))
        every = [np.arange(n) if p is None else p for n, p in zip(shape, axes, strict=True)]
        block = np.arange(start, start + math.prod(shape)).reshape(shape)
        parts.append(block[np.ix_(*every)].ravel())
        start += math.prod(shape)
    return np.concatenate(parts)


def even(graph: ModuleGraph, keep: Mask, apart: Collection[str] = ()) -> Mask:
    """Keep as many units in all layers and directions of a recurrent layer as in the widest.

    The layers of an ``nn.LSTM`` have one width. The units that are kept for that are the first of
    those that could go.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module.
    keep : ndarray of shape (graph.n_units,)
        Boolean.
    apart : collection of str, default=()
        Names of recurrent layers that are left out.

    Returns
    -------
    keep : ndarray of shape (graph.n_units,)
        Boolean: these and perhaps some more.
    """
    layers = {name: s for name, s in recurrent_states(graph).items() if name not in apart}
    keep = keep.copy()
    before = -1
    while before != keep.sum():
        # a unit that is kept in one layer may belong to another one as well
        before = keep.sum()
        for states in layers.values():
            width = max(int(keep[units].sum()) for units in states)
            for units in states:
                removed = units[~keep[units]]
                keep[removed[: width - (len(units) - len(removed))]] = True
    return keep


def recurrent_states(graph: ModuleGraph) -> dict[str, list[Indices]]:
    """For each recurrent layer of torch the units of each of its layers and directions."""
    states: dict[str, list[Indices]] = {}
    for slot in graph.slots:
        if ".weight_hh_l" in f".{slot.tensor}" and slot.axis == 1:
            states.setdefault(slot.layer, []).append(slot.units)
    return states


def _cut(tensor: Tensor, positions: Kept) -> Tensor:
    """The kept positions of a tensor, in its memory format."""
    format = torch.contiguous_format
    if tensor.ndim == 4 and not tensor.is_contiguous():
        format = torch.channels_last
    for axis, kept in enumerate(positions):
        if kept is not None:
            tensor = tensor.index_select(axis, torch.from_numpy(kept).to(tensor.device))
    return tensor.contiguous(memory_format=format)


def _linear(layer: Any, width: int) -> None:
    layer.out_features, layer.in_features = layer.weight.shape


def _convolution(layer: Any, width: int) -> None:
    """Groups go as a whole, so that what stands in each stays."""
    if layer.groups > 1:
        layer.groups = layer.weight.shape[0] // (layer.out_channels // layer.groups)
    layer.out_channels = layer.weight.shape[0]
    layer.in_channels = layer.weight.shape[1] * layer.groups


def _transposed(layer: Any, width: int) -> None:
    if layer.groups > 1:
        layer.groups = layer.weight.shape[0] // (layer.in_channels // layer.groups)
    layer.in_channels = layer.weight.shape[0]
    layer.out_channels = layer.weight.shape[1] * layer.groups


def _normalisation(layer: Any, width: int) -> None:
    layer.num_features = width


def _group_norm(layer: Any, width: int) -> None:
    """Channels can go only where each is a group, or where a group goes as a whole."""
    layer.num_groups = width * layer.num_groups // layer.num_channels
    layer.num_channels = width


def _embedding(layer: Any, width: int) -> None:
    layer.embedding_dim = layer.weight.shape[1]


def _recurrent(layer: Any, width: int) -> None:
    layer.input_size = layer.weight_ih_l0.shape[1]
    layer.hidden_size = layer.weight_hh_l0.shape[1]
    layer.flatten_parameters()


def _cell(layer: Any, width: int) -> None:
    layer.hidden_size, layer.input_size = layer.weight_hh.shape[1], layer.weight_ih.shape[1]


def _prelu(layer: Any, width: int) -> None:
    layer.num_parameters = len(layer.weight)


_ATTRIBUTES: dict[type, Callable[[Any, int], None]] = {
    nn.Linear: _linear,
    **dict.fromkeys((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d), _normalisation),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d), _normalisation),
    nn.GroupNorm: _group_norm,
    nn.Embedding: _embedding,
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
    **dict.fromkeys((nn.LSTMCell, nn.GRUCell, nn.RNNCell), _cell),
    nn.PReLU: _prelu,
}
