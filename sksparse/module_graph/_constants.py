"""What units emit whatever the features are.

The calls of a module are run once more in double precision, with "not a number" in the place of
the features, in evaluation mode. What is a number in the end depends on no feature: functions of
single units, sums, pooling and everything else carry "not a number" on. Only layers with weights
have rules of their own here, since a weight of zero cuts off what it multiplies.

Zeros around a map make its border another number than its middle: a unit that is not the same
number at all positions is no constant.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from sksparse.module_graph._graph import ModuleGraph
from sksparse.module_graph._value import Slot, Step, Value

#: The largest difference between positions that is put down to rounding, as a share.
_ROUNDING = 1e-13

#: Functions whose result depends on the number of positions, which may be another one later.
_COUNT_POSITIONS = frozenset(("sum", "prod", "norm", "cumsum", "nansum", "logsumexp"))

#: Sums of two values.
ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")


@dataclass(frozen=True)
class Read:
    """A tensor of weights that reads units in one call.

    Parameters
    ----------
    step : Step
        The call.
    slot : Slot
        The axis of the tensor.
    constants : torch.Tensor of shape (n_groups, n_positions)
        For each position of the axis what the unit there emits, "not a number" where that depends
        on the features. Several rows for a convolution in groups.
    """

    step: Step
    slot: Slot
    constants: Tensor


@dataclass(frozen=True)
class Sum:
    """A sum of two values, one of which may be a dead branch.

    Parameters
    ----------
    step : Step
        The call.
    constants : tuple of torch.Tensor or None
        For both what their units emit, "not a number" where that depends on the features; None for
        what has no units.
    """

    step: Step
    constants: tuple[Tensor | None, Tensor | None]


class Constants:
    """Which units are constant where they are read.

    Parameters
    ----------
    graph : ModuleGraph
        The picture of a module, which must have been followed.

    Attributes
    ----------
    reads : list of Read
        What layers read, in the order of the calls. What else reads units is not known.
    sums : list of Sum
        The sums of two values.
    """

    def __init__(self, graph: ModuleGraph) -> None:
        self._graph = graph
        module = graph.module
        self._own: dict[str, Tensor] = dict(module.named_parameters(remove_duplicate=False))
        self._own |= dict(module.named_buffers(remove_duplicate=False))
        self._tensors: dict[fx.Node, Any] = {}
        self.reads: list[Read] = []
        self.sums: list[Sum] = []
        with torch.no_grad():
            for step in graph.steps:
                self._run(step)

    def _emitted(self, node: Any, value: Any) -> Tensor | None:
        """What the units of a value emit, before later calls change it in place."""
        if not isinstance(value, Value) or value.axis is None:
            return None
        maps = self._lookup(node).movedim(value.axis, 0).flatten(1)
        low, high = maps.amin(1), maps.amax(1)
        is_one = high - low <= _ROUNDING * torch.maximum(low.abs(), high.abs())
        return torch.where(is_one, low, torch.nan)

    def _run(self, step: Step) -> None:
        rule = _RULES.get(type(step.layer))
        if rule is None:
            if step.node.target in ADDITIONS and len(step.inputs) == 2:
                first, second = map(self._emitted, step.node.args, step.inputs)
                self.sums.append(Sum(step, (first, second)))
            self._tensors[step.node] = self._result(step)
            return
        node, value = first_argument(step)
        axis = len(value.shape) - 1 if isinstance(step.layer, _ALONG_LAST) else 1
        x = self._emitted(node, value) if value.axis == axis else None
        if x is None:
            n = value.shape[axis] if axis < len(value.shape) else 0
            x = torch.full((n,), torch.nan, dtype=torch.float64)
        rule(self, step, step.layer, x)

    def _emit(self, step: Step, constants: Tensor) -> None:
        """Note what the units of the result of a layer are."""
        value = step.output
        spread = [1] * len(value.shape)
        spread[value.axis] = -1
        # memory of its own, since functions may change it in place
        self._tensors[step.node] = constants.view(spread).expand(value.shape).clone()

    def _note(self, step: Step, weight: Tensor, constants: Tensor) -> None:
        """Note what a tensor of weights reads."""
        for slot in self._graph.slots:
            if (slot.layer, slot.role) == (step.name, "reads") and (
                self._graph.module.get_parameter(slot.tensor) is weight
            ):
                self.reads.append(Read(step, slot, constants.view(-1, len(slot.units))))
                return

    def _result(self, step: Step) -> Any:
        """What a call returns; "not a number" where it cannot be run on such values."""
        node = step.node
        function: Any = node.target
        means = (
            function in _MEAN_FUNCTIONS if step.layer is None else isinstance(step.layer, _MEANS)
        )
        before = self._emitted(*first_argument(step)) if means else None
        try:
            args, kwargs = fx.map_arg((node.args, node.kwargs), self._lookup)
            if step.layer is not None:
                result = copy.deepcopy(step.layer).double().cpu().eval()(*args, **kwargs)
            elif node.op == "call_method":
                result = getattr(args[0], function)(*args[1:], **kwargs)
            else:
                result = function(*args, **kwargs)
        except Exception:
            # functions may refuse such values, or values of another type than those of the module
            return _unknown(node.meta["shape"])
        if means and isinstance(result, Tensor):
            return _means(result, before, step.output.axis)
        name = function if step.layer is None else ""
        name = getattr(name, "__name__", name)
        return _known(result, zero_only=name in _COUNT_POSITIONS)

    def _lookup(self, node: fx.Node) -> Any:
        if node in self._tensors:
            return self._tensors[node]
        found = self._own.get(str(node.target)) if node.op == "get_attr" else None
        if found is None:
            result = _unknown(node.meta["shape"])
        else:
            result = found.detach().cpu().clone()
            result = result.double() if result.is_floating_point() else result
        self._tensors[node] = result
        return result

    def is_zero(self, nodes: list[fx.Node]) -> bool:
        """Whether all these tensors are zero, whatever the features are."""
        found = map(self._lookup, nodes)
        return all(isinstance(t, Tensor) and bool((t == 0).all()) for t in found)


def first_argument(step: Step) -> tuple[Any, Any]:
    """What a call takes first, by position or by name: the node, and the value in its place."""
    if step.inputs:
        return step.node.args[0], step.inputs[0]
    name = next(iter(step.options))
    return step.node.kwargs[name], step.options[name]


def _known(result: Any, zero_only: bool) -> Any:
    """The numbers of a result; all else is "not a number"."""
    if isinstance(result, torch.Size) or not isinstance(result, tuple | list | Tensor):
        return result
    if not isinstance(result, Tensor):
        return tuple(_known(item, zero_only) for item in result)
    if not result.is_floating_point():
        # it is made from "not a number" in ways that torch leaves open
        return torch.full(result.shape, torch.nan, dtype=torch.float64)
    unknown = result.isinf() | ((result != 0) & ~result.isnan() & zero_only)
    # what later calls change in place stays one with what they change
    return torch.where(unknown, torch.nan, result) if unknown.any() else result


def _means(result: Tensor, before: Tensor | None, axis: int | None) -> Tensor:
    """Means of constants; where zeros around a map count, its border is none."""
    spread = [1] * result.ndim
    if before is None or axis is None:
        return torch.full_like(result, torch.nan)
    spread[axis] = -1
    before = before.view(spread)
    return torch.where((result - before).abs() <= _ROUNDING * before.abs(), result, torch.nan)


def _unknown(shape: Any) -> Any:
    """Tensors of "not a number"."""
    if isinstance(shape, torch.Size):
        return torch.full(shape, torch.nan, dtype=torch.float64)
    if isinstance(shape, tuple):
        return tuple(_unknown(item) for item in shape)
    return shape


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


def _product(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
    """A matrix or a convolution."""
    groups = layer.groups if isinstance(layer, _CONVOLUTIONS) else 1
    sums, links = weight_sums(layer.weight, groups)
    x = x.view(groups, -1)
    run._note(step, layer.weight, x)
    open_ = x.isnan()
    if pads_with_zeros(layer):
        open_ = open_ | (x != 0)
    emitted = (sums @ x.nan_to_num().unsqueeze(2)).flatten()
    if layer.bias is not None:
        emitted = emitted + layer.bias.detach().double().cpu()
    pairs = zip(links, open_, strict=True)
    depends = torch.stack([link[:, is_open].any(1) for link, is_open in pairs])
    run._emit(step, torch.where(depends.flatten(), torch.nan, emitted))


def _transposed(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
    """Kernels overlap otherwise from position to position: only zeros pass."""
    links = (layer.weight.detach().cpu() != 0).flatten(2).any(2).unflatten(0, (layer.groups, -1))
    run._note(step, layer.weight, x.view(1, -1))
    pairs = zip(links, x.view(layer.groups, -1) != 0, strict=True)
    depends = torch.cat([link[is_open].any(0) for link, is_open in pairs])
    emitted = torch.zeros(len(depends), dtype=torch.float64)
    if layer.bias is not None:
        emitted = emitted + layer.bias.detach().double().cpu()
    run._emit(step, torch.where(depends, torch.nan, emitted))


def _batch_norm(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
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
    run._emit(step, emitted)


def _scaled(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
    """Other normalisations: known where the scale is zero."""
    weight, bias = layer.weight, layer.bias
    emitted = torch.full_like(x, torch.nan)
    if weight is not None and weight.shape == x.shape:
        shift = torch.zeros_like(x) if bias is None else bias.detach().double().cpu()
        emitted = torch.where(weight.detach().cpu() == 0, shift, emitted)
    run._emit(step, emitted)


def _embedding(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
    """A column of one number is a constant."""
    weight = layer.weight.detach().double().cpu()
    if layer.max_norm is not None:
        # rows that are looked up change
        weight = weight.new_full(weight.shape, torch.nan)
    low, high = weight.amin(0), weight.amax(0)
    run._emit(step, torch.where(low == high, low, torch.nan))


def _recurrent(run: Constants, step: Step, layer: Any, x: Tensor) -> None:
    """States that stay zero, where they begin at zero."""
    others = [n for n in step.node.all_input_nodes if n is not first_argument(step)[0]]
    begins_at_zero = run.is_zero(others)
    states = []
    for number in range(layer.num_layers):
        outputs = []
        for suffix in ("", "_reverse") if layer.bidirectional else ("",):
            ends = f"_l{number}{suffix}"
            is_zero = _zero_states(layer, ends, x) & begins_at_zero
            h = torch.where(is_zero, 0.0, torch.nan).double()
            run._note(step, getattr(layer, f"weight_ih{ends}"), x)
            run._note(step, getattr(layer, f"weight_hh{ends}"), h)
            outputs.append(h)
        states += outputs
        x = torch.cat(outputs)
    shapes = step.node.meta["shape"]
    last = torch.stack(states)
    if len(shapes[0]) == 3:
        last = last[:, None]
    state = last.expand(shapes[1] if isinstance(shapes[1], torch.Size) else shapes[1][0]).clone()
    both = (state, state.clone()) if isinstance(layer, nn.LSTM) else state
    run._tensors[step.node] = (x.expand(shapes[0]).clone(), both)


def _zero_states(layer: Any, ends: str, x: Tensor) -> Tensor:
    """The units of one layer and direction whose state stays at zero.

    For an LSTM the cell's input must be zero whatever the gates are; for a GRU the new state.
    """
    n = layer.hidden_size
    rows = {nn.LSTM: slice(2 * n, 3 * n), nn.GRU: slice(2 * n, 3 * n), nn.RNN: slice(0, n)}
    of = rows[type(layer)]
    entering = getattr(layer, f"weight_ih{ends}").detach().cpu()[of] != 0
    recurrent = getattr(layer, f"weight_hh{ends}").detach().cpu()[of] != 0
    is_zero = ~entering[:, x != 0].any(1)
    if layer.bias:
        first = getattr(layer, f"bias_ih{ends}").detach().double().cpu()[of]
        second = getattr(layer, f"bias_hh{ends}").detach().double().cpu()[of]
        # the reset gate of a GRU multiplies one of them
        apart = (first == 0) & (second == 0)
        is_zero &= apart if isinstance(layer, nn.GRU) else first + second == 0
    before = -1
    while before != int(is_zero.sum()):
        before = int(is_zero.sum())
        is_zero &= ~recurrent[:, ~is_zero].any(1)
    return is_zero


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_ALONG_LAST = (nn.Linear, nn.LayerNorm, nn.LSTM, nn.GRU, nn.RNN)
_MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_MEAN_FUNCTIONS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_OTHER_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)

_RULES: dict[type, Callable[[Constants, Step, Any, Tensor], None]] = {
    **dict.fromkeys((nn.Linear, *_CONVOLUTIONS), _product),
    **dict.fromkeys(_TRANSPOSED, _transposed),
    **dict.fromkeys(_NORMS, _batch_norm),
    **dict.fromkeys((*_OTHER_NORMS, nn.GroupNorm, nn.LayerNorm), _scaled),
    nn.Embedding: _embedding,
    **dict.fromkeys((nn.LSTM, nn.GRU, nn.RNN), _recurrent),
}
