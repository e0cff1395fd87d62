"""What layers with weights emit where the units that they read are constants.

"Not a number" stands for what depends on the features; a weight of zero cuts it off.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn


@dataclass
class Emission:
    """What a layer emits.

    Parameters
    ----------
    units : torch.Tensor of shape (n_units,)
        The constant of each unit on the axis of units of its result.
    reads : list of (torch.Tensor, torch.Tensor)
        Tensors of weights, with the constants that they read.
    several : object, default=None
        All tensors that it returns, where there are several.
    """

    units: Tensor
    reads: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    several: Any = None


#: Takes a layer, the constants that it reads, the other tensors that it is called with, and the
#: shape of its result or those of its results.
ConstantRule = Callable[[Any, Tensor, list[Any], Any], Emission]


def weight_sums(weight: Tensor, groups: int = 1) -> tuple[Tensor, Tensor]:
    """For each row and column the sum over the positions of the kernel, and whether any is not 0.

    Parameters
    ----------
    weight : torch.Tensor of shape (n_outputs, n_inputs, ...)
        Of a matrix or a convolution.
    groups : int
        Groups of the convolution.

    Returns
    -------
    sums, links : torch.Tensor of shape (n_groups, n_outputs / n_groups, n_inputs)
    """
    weight = weight.detach().cpu()
    sums, links = weight.double(), weight != 0
    if weight.ndim > 2:
        sums, links = sums.flatten(2).sum(2), links.flatten(2).any(2)
    return sums.unflatten(0, (groups, -1)), links.unflatten(0, (groups, -1))


def pads_with_zeros(layer: nn.Module) -> bool:
    """Whether zeros stand around the maps that a convolution reads."""
    if not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) or layer.padding_mode != "zeros":
        return False
    if isinstance(layer.padding, str):
        return layer.padding == "same" and any(k > 1 for k in layer.kernel_size)
    return any(p > 0 for p in layer.padding)


def _product(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """A matrix or a convolution."""
    groups = layer.groups if isinstance(layer, _CONVOLUTIONS) else 1
    sums, links = weight_sums(layer.weight, groups)
    x = x.view(groups, -1)
    reads = [(layer.weight, x)]
    open_ = x.isnan()
    if pads_with_zeros(layer):
        open_ = open_ | (x != 0)
    emitted = (sums @ x.nan_to_num().unsqueeze(2)).flatten()
    if layer.bias is not None:
        emitted = emitted + layer.bias.detach().double().cpu()
    pairs = zip(links, open_, strict=True)
    depends = torch.stack([link[:, is_open].any(1) for link, is_open in pairs])
    return Emission(torch.where(depends.flatten(), torch.nan, emitted), reads)


def _transposed(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """Kernels overlap otherwise from position to position: only zeros pass."""
    links = (layer.weight.detach().cpu() != 0).flatten(2).any(2).unflatten(0, (layer.groups, -1))
    reads = [(layer.weight, x)]
    pairs = zip(links, x.view(layer.groups, -1) != 0, strict=True)
    depends = torch.cat([link[is_open].any(0) for link, is_open in pairs])
    emitted = torch.zeros(len(depends), dtype=torch.float64)
    if layer.bias is not None:
        emitted = emitted + layer.bias.detach().double().cpu()
    return Emission(torch.where(depends, torch.nan, emitted), reads)


def _batch_norm(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """A scale of zero leaves the shift; statistics of the batch are not constant."""
    weight, bias, mean, var = (
        None if t is None else t.detach().double().cpu()
        for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)
    )
    shift = torch.zeros_like(x) if bias is None else bias
    emitted = torch.full_like(x, torch.nan)
    if mean is not None and var is not None:
        scale = (var + layer.eps).rsqrt()
        emitted = (x - mean) * (scale if weight is None else scale * weight) + shift
    if weight is not None:
        emitted = torch.where(weight == 0, shift, emitted)
    return Emission(emitted)


def _scaled(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """Other normalisations: known where the scale is zero."""
    weight, bias = layer.weight, layer.bias
    emitted = torch.full_like(x, torch.nan)
    if weight is not None and weight.shape == x.shape:
        shift = torch.zeros_like(x) if bias is None else bias.detach().double().cpu()
        emitted = torch.where(weight.detach().cpu() == 0, shift, emitted)
    return Emission(emitted)


def _embedding(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """A column of one number is a constant."""
    weight = layer.weight.detach().double().cpu()
    if layer.max_norm is not None:
        # rows that are looked up change
        weight = weight.new_full(weight.shape, torch.nan)
    low, high = weight.amin(0), weight.amax(0)
    return Emission(torch.where(low == high, low, torch.nan))


def _recurrent(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """States that stay zero, where they begin at zero."""
    begins_at_zero = all(isinstance(t, Tensor) and bool((t == 0).all()) for t in others)
    states: list[Tensor] = []
    reads = []
    for number in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if layer.bidirectional else ("",):
            ends = f"_l{number}{suffix}"
            is_zero = _zero_states(layer, ends, x) & begins_at_zero
            h = torch.where(is_zero, 0.0, torch.nan).double()
            reads.append((getattr(layer, f"weight_ih{ends}"), x))
            reads.append((getattr(layer, f"weight_hh{ends}"), h))
            outputs.append(h)
        states += outputs
        x = torch.cat(outputs)
    last = torch.stack(states)
    last = last[:, None] if len(shape[0]) == 3 else last
    is_lstm = isinstance(layer, nn.LSTM)
    last = last.expand(shape[1][0] if is_lstm else shape[1])
    both = (last.clone(), last.clone()) if is_lstm else last.clone()
    return Emission(x, reads, (x.expand(shape[0]).clone(), both))


def _cell(layer: Any, x: Tensor, others: list[Any], shape: Any) -> Emission:
    """One step: states that were zero and stay so. How many steps there are is left open."""
    was_zero = torch.ones(layer.hidden_size, dtype=torch.bool)
    for state in others:
        was_zero &= (state == 0).flatten(0, -2).all(0)
    is_zero = _zero_states(layer, "", x, was_zero) & was_zero
    before = torch.where(was_zero, 0.0, torch.nan).double()
    after = torch.where(is_zero, 0.0, torch.nan).double()
    reads = [(layer.weight_ih, x), (layer.weight_hh, before)]
    if isinstance(layer, nn.LSTMCell):
        return Emission(after, reads, tuple(after.expand(one).clone() for one in shape))
    return Emission(after, reads, after.expand(shape).clone())


def _zero_states(layer: Any, ends: str, x: Tensor, was_zero: Tensor | None = None) -> Tensor:
    """The units of one layer and direction whose state stays at zero.

    For an LSTM the cell's input must be zero whatever the gates are; for a GRU the new state.
    """
    n = layer.hidden_size
    of = slice(0, n) if isinstance(layer, nn.RNN | nn.RNNCell) else slice(2 * n, 3 * n)
    entering = getattr(layer, f"weight_ih{ends}").detach().cpu()[of] != 0
    recurrent = getattr(layer, f"weight_hh{ends}").detach().cpu()[of] != 0
    is_zero = ~entering[:, x != 0].any(1)
    if layer.bias:
        first = getattr(layer, f"bias_ih{ends}").detach().double().cpu()[of]
        second = getattr(layer, f"bias_hh{ends}").detach().double().cpu()[of]
        # the reset gate of a GRU multiplies one of them
        apart = (first == 0) & (second == 0)
        is_zero &= apart if isinstance(layer, nn.GRU | nn.GRUCell) else first + second == 0
    if was_zero is not None:
        return is_zero & ~recurrent[:, ~was_zero].any(1)
    before = -1
    while before != int(is_zero.sum()):
        before = int(is_zero.sum())
        is_zero &= ~recurrent[:, ~is_zero].any(1)
    return is_zero


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_LAYERS = (nn.LSTM, nn.GRU, nn.RNN)
_CELLS = (nn.LSTMCell, nn.GRUCell, nn.RNNCell)
#: Layers that read the last axis; others read the second one.
ALONG_LAST = (nn.Linear, nn.LayerNorm, *_LAYERS, *_CELLS)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_OTHER_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)

#: Rules of layers, by their exact types.
CONSTANT_RULES: dict[type, ConstantRule] = {
    **dict.fromkeys((nn.Linear, *_CONVOLUTIONS), _product),
    **dict.fromkeys(_TRANSPOSED, _transposed),
    **dict.fromkeys(_NORMS, _batch_norm),
    **dict.fromkeys((*_OTHER_NORMS, nn.GroupNorm, nn.LayerNorm), _scaled),
    nn.Embedding: _embedding,
    **dict.fromkeys(_LAYERS, _recurrent),
    **dict.fromkeys(_CELLS, _cell),
}
