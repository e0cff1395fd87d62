"""The units of a module: which parameters make them, which read them, and what a unit costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, fx, nn

from sksparse._typing import Indices, Mask
from sksparse.module_graph._rules import FUNCTION_RULES, LAYER_RULES
from sksparse.module_graph._trace import Obstacle, trace
from sksparse.module_graph._walk import Slot, Step, Value, Walk


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
    steps : tuple of Step
        The calls of the module, in order.
    obstacles : tuple of Obstacle
        What could not be followed; the other attributes are then incomplete.
    """

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        self.module = module
        self.steps: tuple[Step, ...] = ()
        walk = Walk(module)
        graph, obstacle = trace(module, example)
        if graph is None:
            assert obstacle is not None
            walk.obstacles.append(obstacle)
        else:
            self.steps = tuple(_follow(walk, graph))
        self.obstacles: tuple[Obstacle, ...] = tuple(walk.obstacles)
        self.multiply_adds = walk.multiply_adds
        self._number_units(walk)

    def _number_units(self, walk: Walk) -> None:
        """Number units that are one by one number, in the order of their first appearance."""
        roots = np.array([walk.find(u) for u in range(len(walk._parents))], dtype=np.intp)
        _, number = np.unique(roots, return_inverse=True)
        self.n_units = int(number.max()) + 1 if len(number) else 0
        self.slots: tuple[Slot, ...] = tuple(
            replace(slot, units=number[slot.units]) for slot in walk.slots
        )
        self.kept_whole = {int(number[u]): why for u, why in walk.kept_whole.items()}
        self.input_units = number[np.array(walk.input_units, dtype=np.intp)]
        self.output_units = number[np.array(walk.output_units, dtype=np.intp)]
        self.unit_numbers = number
        removable = np.zeros(self.n_units, dtype=bool)
        for slot in self.slots:
            if slot.role == "writes":
                removable[slot.units] = True
        removable[list(self.kept_whole)] = False
        removable[self.input_units] = False
        self.removable: Mask = removable
        self.layers = tuple(self._layers())

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
        if node.op == "placeholder":
            values[node] = Value(tuple(node.meta["shape"]), is_input=True)
            continue
        if node.op == "get_attr":
            values[node] = Value(tuple(node.meta["shape"]), parameter=str(node.target))
            continue
        args = fx.map_arg(node.args, lambda n: values[n])
        kwargs = fx.map_arg(node.kwargs, lambda n: values[n])
        if node.op == "output":
            for value in args if isinstance(args[0], Value) else args[0]:
                walk.keep_whole(value.units, "they are outputs of the module")
                walk.output_units += value.units.tolist()
            continue
        layer = walk.module.get_submodule(node.target) if node.op == "call_module" else None
        table: dict[Any, Any] = FUNCTION_RULES if layer is None else LAYER_RULES
        rule = table.get(node.target if layer is None else type(layer))
        name = str(node.target if layer is not None else getattr(node.target, "__name__", node))
        if rule is None:
            walk.obstruct(node, f"it is not known what {name!r} does with units")
            values[node] = _unknown(node.meta["shape"])
        else:
            values[node] = rule(walk, node, name, layer, *args, **kwargs)
        yield Step(node, layer, name, args, kwargs, values[node])


def _unknown(shape: Any) -> Any:
    return Value(tuple(shape)) if isinstance(shape, tuple) else shape
