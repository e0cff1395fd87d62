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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from sksparse.module_graph._branches import ADDITIONS
from sksparse.module_graph._graph import ModuleGraph
from sksparse.module_graph._layer_constants import ALONG_LAST, CONSTANT_RULES
from sksparse.module_graph._value import Slot, Step, Value

#: The largest difference between positions that is put down to rounding, as a share.
_ROUNDING = 1e-13

#: Functions whose result depends on the number of positions, which may be another one later.
_COUNT_POSITIONS = frozenset(("sum", "prod", "norm", "cumsum", "nansum", "logsumexp"))

_MEANS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_MEAN_FUNCTIONS = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)


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
        maps = self.tensor(node).movedim(value.axis, 0).flatten(1)
        low, high = maps.amin(1), maps.amax(1)
        is_one = high - low <= _ROUNDING * torch.maximum(low.abs(), high.abs())
        return torch.where(is_one, low, torch.nan)

    def _run(self, step: Step) -> None:
        rule = CONSTANT_RULES.get(type(step.layer))
        if rule is None:
            if step.node.target in ADDITIONS and len(step.inputs) == 2:
                first, second = map(self._emitted, step.node.args, step.inputs)
                self.sums.append(Sum(step, (first, second)))
            self._tensors[step.node] = self._result(step)
            return
        node, value = first_argument(step)
        axis = len(value.shape) - 1 if isinstance(step.layer, ALONG_LAST) else 1
        x = self._emitted(node, value) if value.axis == axis else None
        if x is None:
            n = value.shape[axis] if axis < len(value.shape) else 0
            x = torch.full((n,), torch.nan, dtype=torch.float64)
        others = [self.tensor(n) for n in step.node.all_input_nodes if n is not node]
        emission = rule(step.layer, x, others, step.node.meta["shape"])
        for weight, constants in emission.reads:
            self._note(step, weight, constants)
        if emission.several is not None:
            self._tensors[step.node] = emission.several
        else:
            self._tensors[step.node] = self._spread(step, emission.units)

    def _spread(self, step: Step, constants: Tensor) -> Any:
        """The result of a layer whose units emit these constants."""
        value = step.output
        if value.axis is None:
            return _unknown(step.node.meta["shape"])
        spread = [1] * len(value.shape)
        spread[value.axis] = -1
        # memory of its own, since functions may change it in place
        return constants.view(spread).expand(value.shape).clone()

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
            # a few functions make numbers of "not a number", or draw them
            probe = _call(step, lambda n: _any_numbers(self.tensor(n)))
            result = _agreed(_call(step, self.tensor), probe)
        except Exception:
            # functions may refuse such values, or values of another type than those of the module
            return _unknown(node.meta["shape"])
        if means and isinstance(result, Tensor):
            return _means(result, before, step.output.axis)
        name = function if step.layer is None else ""
        name = getattr(name, "__name__", name)
        return _known(result, zero_only=name in _COUNT_POSITIONS)

    def tensor(self, node: fx.Node) -> Any:
        """What a call returns, or an input or parameter is; tensors may be in a tuple."""
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


def first_argument(step: Step) -> tuple[Any, Any]:
    """What a call takes first, by position or by name: the node, and the value in its place."""
    if step.inputs:
        return step.node.args[0], step.inputs[0]
    name = next(iter(step.options))
    return step.node.kwargs[name], step.options[name]


def _call(step: Step, values: Callable[[fx.Node], Any]) -> Any:
    """Run a call on some values in the place of its arguments."""
    function: Any = step.node.target
    args, kwargs = fx.map_arg((step.node.args, step.node.kwargs), values)
    if step.layer is not None:
        return copy.deepcopy(step.layer).double().cpu().eval()(*args, **kwargs)
    if step.node.op == "call_method":
        return getattr(args[0], function)(*args[1:], **kwargs)
    return function(*args, **kwargs)


def _any_numbers(values: Any) -> Any:
    """Copies of tensors with other numbers, both positive and negative, for "not a number"."""
    if isinstance(values, tuple):
        return tuple(map(_any_numbers, values))
    if not isinstance(values, Tensor) or not values.is_floating_point():
        return values
    numbers = torch.linspace(-7.3, 9.1, max(2, values.numel()))[: values.numel()]
    return torch.where(values.isnan(), numbers.view(values.shape).to(values.dtype), values)


def _agreed(result: Any, probe: Any) -> Any:
    """What is the same number in both."""
    if isinstance(result, tuple | list) and not isinstance(result, torch.Size):
        return tuple(map(_agreed, result, probe))
    if not isinstance(result, Tensor) or not result.is_floating_point():
        return result
    differs = (result != probe) & ~result.isnan()
    return torch.where(differs, torch.nan, result) if differs.any() else result


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
