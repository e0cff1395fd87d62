"""A walk through the calls of a module that finds which positions of which axis are one unit.

Every tensor between the layers has at most one axis of units (features, channels): a ``Value`` says
for each position on it which unit stands there. A layer gives its outputs new units and notes in
*slots* which positions of its parameters belong to them; a sum of two values makes one
unit of two; everything else carries units on.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor, fx, nn

from sksparse._typing import Indices
from sksparse.module_graph._trace import Obstacle
from sksparse.module_graph._value import (
    OpenPart,
    Role,
    Size,
    Slot,
    Source,
    Value,
    axes_of,
    doubles,
    line_along,
)

_FIXED_WIDTH = "a tensor of fixed width meets them"


class Walk:
    """What a walk through the calls has found so far; the rules write to it.

    Units are numbers from 0; which of them are one is settled at the end (``numbers``).

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    n_rows : int
        Number of rows of the example.

    Attributes
    ----------
    slots : list of Slot
        Units of all parameters.
    multiply_adds : dict of str to float
        For each weight tensor how often each of its weights is multiplied for one row.
    other_multiply_adds : float
        Products of two values that are no parameters, for one row.
    obstacles : list of (Obstacle, ndarray or None)
        What could not be followed, and the units that must be removable for it to matter.
    whole : list of (ndarray, str)
        Units that cannot be removed, and why.
    input_units : ndarray
        The units of the features that enter.
    output_units : ndarray
        The units of what leaves.
    names : dict of str to str
        For each name of a parameter or buffer its first one.
    trained : frozenset of str
        The names of the parameters.
    """

    def __init__(self, module: nn.Module, n_rows: int) -> None:
        self.module = module
        self.n_rows = n_rows
        self.slots: list[Slot] = []
        self.multiply_adds: dict[str, float] = {}
        self.other_multiply_adds = 0.0
        self.obstacles: list[tuple[Obstacle, Indices | None]] = []
        self.whole: list[tuple[Indices, str]] = []
        self.input_units: Indices = np.empty(0, dtype=np.intp)
        self.output_units: Indices = np.empty(0, dtype=np.intp)
        self._n_units = 0
        self._whole_sources: list[tuple[Source, set[int], str]] = []
        self._fixed: list[tuple[Value, int]] = []
        self._pairs: list[tuple[Indices, Indices]] = []
        self._first_slots: dict[tuple[str, int], Slot] = {}
        tensors = [*module.named_parameters(), *module.named_buffers()]
        self._names: dict[int, str] = {id(tensor): name for name, tensor in tensors}
        everywhere = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        self.trained = frozenset(name for name, _ in module.named_parameters())
        self.names = {name: self._names[id(tensor)] for name, tensor in everywhere}

    # units

    def new_units(self, n: int) -> Indices:
        """Units that are no others so far."""
        self._n_units += n
        return np.arange(self._n_units - n, self._n_units)

    def whole_units(self, n: int, why: str) -> Indices:
        """New units that cannot be removed."""
        units = self.new_units(n)
        self.keep_whole(units, why)
        return units

    def unite(self, first: Indices, second: Indices) -> None:
        """Make pairs of units one."""
        if first is not second:
            self._pairs.append((first, second))

    def numbers(self) -> Indices:
        """The final number of each unit: by first appearance, those that are one share it."""
        if not self._pairs:
            return np.arange(self._n_units)
        first = np.concatenate([a for a, _ in self._pairs])
        second = np.concatenate([b for _, b in self._pairs])
        shape = (self._n_units, self._n_units)
        linked = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=shape)
        _, label = connected_components(linked, directed=False)
        _, appears, number = np.unique(label, return_index=True, return_inverse=True)
        rank = np.empty(len(appears), dtype=np.intp)
        rank[np.argsort(appears)] = np.arange(len(appears))
        return rank[number]

    def keep_whole(self, units: Indices, why: str) -> None:
        """Note that units cannot be removed."""
        if len(units):
            self.whole.append((units, why))

    def keep_values_whole(self, values: Iterable[Value], why: str) -> None:
        """The same for all units of some values, and for features that are not settled yet."""
        for value in values:
            self.keep_whole(value.all_units, why)
            if value.axis is None:
                for part in value.parts:
                    self.keep_source_whole(part.source, why)

    def keep_source_whole(
        self, source: Source, why: str, axes: Collection[int] | None = None
    ) -> None:
        """Note that no feature on some axes, by default on all, can be left out."""
        every = range(1, len(source.shape))
        self._whole_sources.append((source, set(every if axes is None else axes), why))

    def fix(self, size: Size) -> None:
        """The code goes on with a number of units: it may not change."""
        self._fixed += size.counted

    def settle(self) -> None:
        """Keep whole the features, and the units on axes of fixed sizes, that are known by now."""
        for source, kept, why in self._whole_sources:
            for axes, units in source.units.items():
                if kept & set(axes):
                    self.keep_whole(units, why)
        why = "the code computes with their number"
        for value, axis in self._fixed:
            if value.axis == axis:
                self.keep_whole(value.units, why)
            elif value.stacked is not None:
                self.keep_whole(value.all_units, why)
            for part in value.parts:
                along = part.along(axis)
                for axes, units in self._units_of(part.source):
                    if along is None or set(axes) & set(along[0]):
                        self.keep_whole(units, why)

    def _units_of(self, source: Source) -> list[tuple[tuple[int, ...], Indices]]:
        """The units on the axes of features, or on those of a parameter."""
        slots = self._first_slots.items()
        of_parameter = [
            ((axis,), slot.units) for (name, axis), slot in slots if name == source.name
        ]
        return [*source.units.items(), *of_parameter]

    # parameters

    def name_of(self, tensor: Tensor) -> str:
        """The name of a parameter or buffer: its first one where it has several."""
        return self._names[id(tensor)]

    def note(
        self, layer: str, tensor: Tensor | str | None, axis: int, units: Indices, role: Role
    ) -> None:
        """Note which units the positions of a parameter belong to; tied ones become one."""
        if tensor is None:
            return
        name = tensor if isinstance(tensor, str) else self.name_of(tensor)
        slot = Slot(name, axis, units, role, layer)
        first = self._first_slots.setdefault((name, axis), slot)
        self.unite(first.units, units)
        self.slots.append(slot)

    def count(self, tensor: Tensor | str, positions: float) -> None:
        """Note that each weight of a tensor is multiplied at so many positions of all rows."""
        name = tensor if isinstance(tensor, str) else self.name_of(tensor)
        times = positions / self.n_rows
        self.multiply_adds[name] = self.multiply_adds.get(name, 0.0) + times

    # values

    def value_of(self, labels: Tensor, doubled: Tensor | None = None) -> Value:
        """A tensor by the unit at each of its positions, and with two in the place of each."""
        if doubled is not None and not doubles(doubled, labels):
            doubled = None
        axes, shape = axes_of(labels, doubled), tuple(labels.shape)
        if len(axes) == 1:
            return Value(shape, axes[0], line_along(labels, axes[0]))
        if not axes and labels.numel():
            self.keep_whole(labels.flatten()[:1].numpy(), "they are alone on their axis")
        return Value(shape, stacked=labels, doubled=doubled) if axes else Value(shape)

    def read(self, value: Value, axis: int) -> Indices:
        """The units that a layer reads on an axis; features get units when they are first read."""
        axis %= len(value.shape)
        if value.is_input and value.axis is None:
            self._settle(value, axis)
        if value.stacked is not None:
            value = self.collapse(value, axis)
        if value.axis == axis:
            return value.units
        self.keep_values_whole([value], "they are read along another axis")
        return self.whole_units(value.shape[axis], "they stand for no unit of a layer")

    def collapse(self, value: Value, axis: int) -> Value:
        """Couple units of stacked values that stand at the same position of an axis."""
        labels = value.labels()
        if axis not in value.axes:
            self.keep_values_whole([value], "they differ along another axis")
            return Value(value.shape)
        lines = labels.movedim(axis, -1).reshape(-1, labels.shape[axis]).unique(dim=0).numpy()
        for line in lines[1:]:
            self.unite(lines[0], line)
        return Value(value.shape, axis, lines[0])

    def _settle(self, value: Value, axis: int) -> None:
        """Decide which axis of features is that of units."""
        features = [part for part in value.parts if not part.source.name]
        found = [part.along(axis) for part in features]
        units = [
            self._input_units(part.source, along[0])[along[1]]
            for part, along in zip(features, found, strict=True)
            if along is not None
        ]
        if len(units) < len(features):
            self.keep_values_whole([value], "the module computes with several of them at once")
            units = [self.whole_units(value.shape[axis], "they are made of several features")]
        for others in units[1:]:
            self.unite(units[0], others)
        value.axis, value.units = axis, units[0]
        for part in value.parts:
            if part.source.name:
                self._meet_part(part, axis, units[0], "input", "scales")

    def _meet_part(self, part: OpenPart, axis: int, units: Indices, layer: str, role: Role) -> None:
        """A parameter stands beside units: on one of its axes, or with a width of its own."""
        of_source = part.whole_axis(axis)
        if part.positions.shape[axis] == 1 and (role != "writes" or len(units) > 1):
            # it may be a number for all units
            return
        if of_source is None:
            self.keep_whole(units, _FIXED_WIDTH)
        else:
            self.note(layer, part.source.name, of_source, units, role)

    def _input_units(self, source: Source, axes: tuple[int, ...]) -> Indices:
        """The units along some axes of the features."""
        if axes not in source.units:
            n = int(np.prod([source.shape[k] for k in axes], dtype=np.intp))
            others = list(source.units.values())
            source.units[axes] = self.new_units(n)
            if others:
                why = "the features are read along several axes"
                for units in (*others, source.units[axes]):
                    self.keep_whole(units, why)
            else:
                self.input_units = source.units[axes]
        return source.units[axes]

    def meet(self, value: Value, axis: int, units: Indices, layer: str, role: Role) -> None:
        """The positions of a value on an axis stand beside some units: they are the same.

        Parameters and buffers are noted as slots of the units, and what has a width that
        no unit decides keeps the units whole.
        """
        if value.is_input and value.axis is None:
            self._settle(value, axis)
        if value.stacked is not None:
            value = self.collapse(value, axis)
        if value.axis == axis:
            self.unite(value.units, units)
            return
        if value.parameter:
            for part in value.parts:
                self._meet_part(part, axis, units, layer, role)
            return
        self.keep_values_whole([value], "they meet those of another axis")
        self.keep_whole(units, _FIXED_WIDTH)

    def combine(self, values: Iterable[Value], shape: tuple[int, ...], layer: str) -> Value:
        """A function of several tensors at the same positions, with the rules of broadcasting."""
        values = list(values)
        with_units = [v for v in values if v.axis is not None]
        if any(v.stacked is not None for v in values):
            return self._combine_stacked(values, shape, layer)
        if not with_units:
            return Value(shape, parts=[p for v in values for p in self._spread(v, shape)])
        main = max(with_units, key=lambda v: len(v.units))
        assert main.axis is not None
        axis = main.axis + len(shape) - len(main.shape)
        for other in values:
            here = axis - (len(shape) - len(other.shape))
            if other is main:
                continue
            if here >= 0 and other.shape[here] == len(main.units):
                self.meet(other, here, main.units, layer, "scales")
            else:
                self.keep_values_whole([other], "they meet units of another axis")
        return main.like(shape, axis)

    def _combine_stacked(self, values: list[Value], shape: tuple[int, ...], layer: str) -> Value:
        """The same where some values have units along several axes."""
        stacked = next(v for v in values if v.stacked is not None)
        others = [v for v in values if v is not stacked and math.prod(v.shape) > 1]
        if stacked.shape == shape and all(
            v.stacked is not None and v.shape == shape for v in others
        ):
            for other in others:
                self.unite(_flat(stacked), _flat(other))
            return Value(shape, stacked=stacked.stacked, doubled=stacked.doubled)
        axes = [v.axis - len(v.shape) for v in others if v.axis is not None]
        last = axes[0] if axes else stacked.axes[-1] - len(stacked.shape)
        plain = [v if v.stacked is None else self.collapse(v, last % len(v.shape)) for v in values]
        return self.combine(plain, shape, layer)

    @staticmethod
    def _spread(value: Value, shape: tuple[int, ...]) -> list[OpenPart]:
        if value.shape == shape:
            return value.parts
        return [replace(p, moved=p.positions.expand(shape)) for p in value.parts]

    # obstacles

    def obstruct(self, node: fx.Node, what: str, units: Indices | None = None) -> None:
        """Note a call that cannot be followed.

        Parameters
        ----------
        node : torch.fx.Node
            The call.
        what : str
            What it does, for the message.
        units : ndarray or None
            The obstacle only matters where one of them could be removed otherwise.
        """
        part = str(node.meta.get("part", ""))
        where = f"in {part!r} " if part and repr(part) not in what else ""
        self.obstacles.append((Obstacle(where + what, str(node.meta.get("line", ""))), units))


def _flat(value: Value) -> Indices:
    return value.labels().numpy().ravel()
