"""A walk through the calls of a module that finds which positions of which axis are one unit.

Every tensor between the layers has at most one axis of units (features, channels): a ``Value`` says
for each position on it which unit stands there. A layer gives its outputs new units and notes in
*slots* which positions of its parameters belong to them; a sum of two values makes one
unit of two; everything else carries units on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from torch import Tensor, fx, nn

from sksparse._typing import Indices
from sksparse.module_graph._trace import Obstacle

Role = Literal["writes", "reads", "scales"]


@dataclass
class Value:
    """A tensor between layers.

    Parameters
    ----------
    shape : tuple of int
        Its shape for the example, rows first.
    axis : int or None
        The axis of the units; None where there is none, or for an input of the module that no
        layer has read yet.
    units : ndarray of shape (shape[axis],)
        The unit at each position; empty without an axis.
    is_input : bool
        Whether it is an input of the module, whose axis of units its first reader decides.
    parameter : str or None
        The name of the parameter or buffer that it is, if it is one.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    units: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    is_input: bool = False
    parameter: str | None = None

    def like(self, shape: Any, axis: int | None = None) -> Value:
        """The same units in a tensor of another shape, by default on the same axis."""
        return Value(tuple(shape), self.axis if axis is None else axis, self.units, self.is_input)


@dataclass(frozen=True)
class Slot:
    """The positions along one axis of a parameter or buffer, and the units that they belong to.

    Parameters
    ----------
    tensor : str
        Name of the parameter or buffer.
    axis : int
        The axis.
    units : ndarray of shape (n_positions,)
        The unit of each position.
    role : {"writes", "reads", "scales"}
        Whether the positions make the units, use them, or change each by itself.
    layer : str
        Name of the layer.
    """

    tensor: str
    axis: int
    units: Indices
    role: Role
    layer: str


@dataclass(frozen=True)
class Step:
    """One call: a layer or a function, with what it takes and returns.

    Parameters
    ----------
    node : torch.fx.Node
        The call.
    layer : torch.nn.Module or None
        The layer that is called, None for functions.
    name : str
        Name of the layer, or of the function.
    inputs : tuple
        Values in the place of tensors, as given.
    options : dict
        The same for arguments by name.
    output : object
        A value, or a tuple of values.
    """

    node: fx.Node
    layer: nn.Module | None
    name: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any


class Walk:
    """What a walk through the calls has found so far; the rules write to it.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Attributes
    ----------
    slots : list of Slot
        Units of all parameters.
    multiply_adds : dict of str to float
        For each weight tensor how often each of its weights is multiplied for one row.
    obstacles : list of Obstacle
        What could not be followed.
    kept_whole : dict of int to str
        Units that cannot be removed, and why.
    input_units : list of int
        The units of the features that enter.
    output_units : list of int
        The units of what leaves.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.slots: list[Slot] = []
        self.multiply_adds: dict[str, float] = {}
        self.obstacles: list[Obstacle] = []
        self.kept_whole: dict[int, str] = {}
        self.input_units: list[int] = []
        self.output_units: list[int] = []
        self._parents: list[int] = []
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self._names: dict[int, str] = {id(tensor): name for name, tensor in tensors}

    def new_units(self, n: int) -> Indices:
        """Units that are no others so far."""
        start = len(self._parents)
        self._parents += range(start, start + n)
        return np.arange(start, start + n)

    def find(self, unit: int) -> int:
        """The unit that stands for all those that are one with it."""
        while self._parents[unit] != unit:
            self._parents[unit] = self._parents[self._parents[unit]]
            unit = self._parents[unit]
        return unit

    def unite(self, first: Indices, second: Indices) -> None:
        """Make pairs of units one."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            a, b = self.find(a), self.find(b)
            self._parents[max(a, b)] = min(a, b)

    def name_of(self, tensor: Tensor) -> str:
        """The name of a parameter or buffer: its first one where it has several."""
        return self._names[id(tensor)]

    def note(
        self, layer: str, tensor: Tensor | None, axis: int, units: Indices, role: Role
    ) -> None:
        """Note which units the positions of a parameter belong to; tied ones become one."""
        if tensor is None:
            return
        name = self.name_of(tensor)
        for slot in self.slots:
            if (slot.tensor, slot.axis) == (name, axis):
                self.unite(slot.units, units)
        self.slots.append(Slot(name, axis, units, role, layer))

    def count(self, tensor: Tensor, times: float) -> None:
        """Note that each weight of a tensor is multiplied so often for one row."""
        name = self.name_of(tensor)
        self.multiply_adds[name] = self.multiply_adds.get(name, 0.0) + times

    def read(self, value: Value, axis: int) -> Indices:
        """The units that a layer reads on an axis; features get units when they are first read."""
        if value.is_input and value.axis is None:
            value.axis = axis % len(value.shape)
            value.units = self.new_units(value.shape[value.axis])
            self.input_units += value.units.tolist()
        if value.axis is None:
            # nothing that could be removed
            units = self.new_units(value.shape[axis])
            self.keep_whole(units, "they stand for no unit of a layer")
            return units
        if value.axis != axis % len(value.shape):
            self.keep_whole(value.units, "they are read along another axis")
            units = self.new_units(value.shape[axis])
            self.keep_whole(units, "they stand for no unit of a layer")
            return units
        return value.units

    def keep_whole(self, units: Iterable[int], why: str) -> None:
        """Note that units cannot be removed."""
        for unit in units:
            self.kept_whole.setdefault(int(unit), why)

    def obstruct(self, step: fx.Node, what: str) -> None:
        """Note a call that cannot be followed."""
        self.obstacles.append(Obstacle(what, str(step.meta.get("line", ""))))
