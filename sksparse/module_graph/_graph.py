"""The units of a module: which parameters make them, which read them, and what a unit costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from sksparse._typing import Indices, Mask
from sksparse.module_graph._branches import find_branches
from sksparse.module_graph._costs import LayerCost, layer_costs
from sksparse.module_graph._function_rules import values_in
from sksparse.module_graph._rules import FUNCTION_RULES, LAYER_RULES, own_code
from sksparse.module_graph._shape_rules import number, resize, sizes_in, unknown
from sksparse.module_graph._trace import Obstacle, trace
from sksparse.module_graph._value import OpenPart, Size, Slot, Source, Step, Value
from sksparse.module_graph._walk import Walk


@dataclass(frozen=True)
class UnitLayer:
    """Units that one layer writes, alone or together with others.

    Parameters
    ----------
    name : str
        Name of the first layer that writes them.
    units : ndarray of shape (n_units,)
        The units.
    """

    name: str
    units: Indices


class ModuleGraph:
    """One picture of a module: its units, the parameters that belong to them, and its calls.

    A *unit* is a neuron, a channel or a state of a recurrent layer. Units whose values are added
    (residual connections) are one unit, and units of several layers that stand side by
    side (concatenation) remain several.

    Parameters
    ----------
    module : torch.nn.Module
        The network, which is left as it is.
    example : torch.Tensor of shape (n_rows, ...)
        A few rows of features, from which the shapes between the layers follow.

    Attributes
    ----------
    n_units : int
        Number of units, those of features and outputs included; numbered from 0.
    slots : tuple of Slot
        Which positions of which parameters and buffers belong to which units.
    input_units : ndarray
        The units of the features, in their order on the axis of features.
    output_units : ndarray
        The units of what the module returns, in their order.
    removable : ndarray of shape (n_units,)
        Boolean: units between the layers, which may be removed. Features and outputs are not.
    kept_whole : dict of int to str
        Why other units cannot be removed.
    layers : tuple of UnitLayer
        The removable units by the layer that writes them, in the order of the calls.
    multiply_adds : dict of str to float
        For each weight tensor how often each of its weights is multiplied for one row.
    other_multiply_adds : float
        Products of tensors that are no parameters, such as in attention, for one row.
    steps : tuple of Step
        The calls of the module, in order.
    branches : tuple of Branch
        Residual branches that may be left out as a whole.
    obstacles : tuple of Obstacle
        What could not be followed; the other attributes are then incomplete.
    """

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        self.module = module
        walk = Walk(module, len(example))
        graph, obstacle = trace(module, example)
        if obstacle is not None:
            walk.obstacles.append((obstacle, None))
        reason = own_code(module)
        if reason:
            what = f"the module {type(module).__name__} {reason}"
            walk.obstacles.append((Obstacle(what, ""), None))
        self.steps: tuple[Step, ...] = () if graph is None else tuple(_follow(walk, graph))
        walk.settle()
        self.multiply_adds = walk.multiply_adds
        self.other_multiply_adds = walk.other_multiply_adds
        self._number_units(walk)
        self.layers = tuple(self._layers())
        self.branches = find_branches(self.steps, walk.names)

    def _number_units(self, walk: Walk) -> None:
        """Number units that are one by one number, in the order of their first appearance."""
        number = self.unit_numbers = walk.numbers()
        self.n_units = int(number.max()) + 1 if len(number) else 0
        self.slots: tuple[Slot, ...] = tuple(
            replace(slot, units=number[slot.units]) for slot in walk.slots
        )
        self.input_units = number[walk.input_units]
        self.output_units = number[walk.output_units]
        self.kept_whole: dict[int, str] = {}
        for units, why in reversed(walk.whole):
            self.kept_whole |= dict.fromkeys(np.unique(number[units]).tolist(), why)
        for obstacle, touched in walk.obstacles:
            if touched is not None:
                features = np.intersect1d(number[touched], self.input_units).tolist()
                self.kept_whole |= dict.fromkeys(features, obstacle.what)
        removable = np.zeros(self.n_units, dtype=bool)
        for slot in self.slots:
            if slot.role == "writes":
                removable[slot.units] = True
        removable[list(self.kept_whole)] = False
        removable[self.input_units] = False
        self.removable: Mask = removable
        self.obstacles: tuple[Obstacle, ...] = tuple(
            obstacle
            for obstacle, touched in walk.obstacles
            if touched is None or removable[number[touched]].any()
        )

    def _layers(self) -> Iterator[UnitLayer]:
        found = ~self.removable
        for slot in self.slots:
            if slot.role == "writes":
                units = slot.units[~found[slot.units]]
                if len(units):
                    found[units] = True
                    yield UnitLayer(slot.layer, np.unique(units))

    @property
    def is_followed(self) -> bool:
        """Whether everything that the module does with its units is known."""
        return not self.obstacles

    def units_of(self, value: Value) -> Indices:
        """The numbers of the units of a value of a step."""
        return self.unit_numbers[value.units]

    def costs(self, keep: Mask | None = None) -> tuple[LayerCost, ...]:
        """Units, parameters and FLOPs of each layer when only some units are kept.

        Parameters
        ----------
        keep : ndarray of shape (n_units,), default=None
            Boolean, over all units of the graph. None for all.

        Returns
        -------
        costs : tuple of LayerCost
            One for each layer with parameters, in their order in the module.
        """
        tensors = dict(self.module.named_parameters())
        return layer_costs(tensors, self.slots, self.multiply_adds, keep)

    def flops(self, keep: Mask | None = None) -> float:
        """Multiplications and additions of matrices and convolutions for one row.

        Parameters
        ----------
        keep : ndarray of shape (n_units,), default=None
            Boolean, over all units of the graph. None for all.

        Returns
        -------
        flops : float
            Two for each product of a weight, as ``torch.utils.flop_counter`` counts them.
        """
        return sum(cost.flops for cost in self.costs(keep)) + 2 * self.other_multiply_adds

    def require_followed(self, option: str, remedy: str) -> None:
        """Refuse a module that cannot be followed.

        Parameters
        ----------
        option : str
            What needs the units, for the message.
        remedy : str
            What to do instead, for the message.

        Raises
        ------
        ValueError
            It names the part of the module and the line.
        """
        if self.obstacles:
            raise ValueError(
                f"{option} needs to know which units of the layers of {type(self.module).__name__} "
                f"belong together, but {self.obstacles[0]}. {remedy}"
            )


def _follow(walk: Walk, graph: fx.Graph) -> Iterator[Step]:
    """Apply the rules to all calls, in order."""
    values: dict[fx.Node, Any] = {}
    for node in graph.nodes:
        if node.op in ("placeholder", "get_attr"):
            values[node] = _source(walk, node)
            continue
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: values[n])
        if node.op == "output":
            walk.keep_values_whole(values_in(args), "they are outputs of the module")
            left = [value.all_units for value in values_in(args)]
            walk.output_units = np.concatenate([walk.output_units, *left])
            continue
        layer = walk.module.get_submodule(node.target) if node.op == "call_module" else None
        target: Any = node.target
        name = str(target if node.op != "call_function" else getattr(target, "__name__", node))
        if _is_number(node.meta["shape"]):
            values[node] = number(walk, node, args)
        else:
            values[node] = _apply(walk, node, name, layer, args, kwargs)
        if node.meta.get("is_fixed") and isinstance(values[node], Size):
            walk.fix(values[node])
        yield Step(node, layer, name, args, kwargs, values[node])


def _source(walk: Walk, node: fx.Node) -> Value:
    """Features, a parameter or buffer, or a constant of the code."""
    shape = tuple(node.meta["shape"])
    name = "" if node.op == "placeholder" else str(node.target)
    if name and name not in walk.names:
        return Value(shape)
    first = walk.names.get(name, name)
    return Value(shape, parts=[OpenPart(Source(first, shape, first in walk.trained))])


def _apply(
    walk: Walk, node: fx.Node, name: str, layer: nn.Module | None, args: Any, kwargs: Any
) -> Any:
    """The value of a call of a layer or function."""
    table: dict[Any, Any] = FUNCTION_RULES if layer is None else LAYER_RULES
    rule = table.get(node.target if layer is None else type(layer))
    why = "" if layer is None else own_code(layer)
    if rule is not resize:
        for size in sizes_in((args, kwargs)):
            walk.fix(size)
    if rule is not None and not why:
        positional, others = _by_position(args, kwargs)
        try:
            return rule(walk, node, name, layer, *positional, **others)
        except TypeError:
            why = "is called in a form that is not known"
    values = list(values_in((args, kwargs)))
    has_weights = layer is not None and any(True for _ in layer.parameters())
    kind = "" if layer is None else f", a layer of type {type(layer).__name__},"
    read = np.concatenate([np.empty(0, dtype=np.intp), *[v.all_units for v in values]])
    what = f"{name!r}{kind} " + (why or "does something unknown with units")
    walk.obstruct(node, what, None if has_weights else read)
    walk.keep_values_whole([v for v in values if v.is_input], f"{name!r} may mix them")
    return unknown(node.meta["shape"])


def _by_position(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arguments with the tensors in front, where they are given by name."""
    others = dict(kwargs)
    front = [others.pop(name) for name in ("input", "tensors", "other") if name in others]
    return [*args, *front], others


def _is_number(shape: Any) -> bool:
    if isinstance(shape, torch.Size):
        return False
    return not any(map(_holds_tensors, shape)) if isinstance(shape, tuple) else True


def _holds_tensors(shape: Any) -> bool:
    return isinstance(shape, torch.Size) or (
        isinstance(shape, tuple) and any(map(_holds_tensors, shape))
    )
