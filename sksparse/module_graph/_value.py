"""Tensors between layers: which unit stands at which position.

Most have units along one axis. Two kinds are more general: states of stacked recurrent layers,
whose units differ along two axes, and *open* tensors (features, parameters), for which only a
reader says which of their axes is the one of units; what happens to them until then is kept as
positions in their source.

Along an axis of length one nothing differs, and yet it may be the one of units. All that moves
positions is therefore also done to *doubled* tensors, with two units in the place of each: they
show which axes can follow the units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, fx, nn

from sksparse._typing import Indices

Role = Literal["writes", "reads", "scales"]


@dataclass
class Source:
    """Features, or a parameter or buffer, as they enter the calls.

    Parameters
    ----------
    name : str
        Name of the parameter; empty for features.
    shape : tuple of int
        Its shape.
    is_trained : bool
        Whether it is a parameter.
    units : dict of tuple of int to ndarray
        Features only: the units along the axes that were read together.
    """

    name: str
    shape: tuple[int, ...]
    is_trained: bool = False
    units: dict[tuple[int, ...], Indices] = field(default_factory=dict)

    @property
    def doubled_shape(self) -> tuple[int, ...]:
        """The shape with two positions on axes of length one; rows of features stay as they are."""
        return tuple(2 if n == 1 and (k > 0 or self.name) else n for k, n in enumerate(self.shape))


@dataclass(frozen=True)
class OpenPart:
    """A source in an open tensor.

    Parameters
    ----------
    source : Source
        The source.
    moved : torch.Tensor or None
        For each position of the tensor the flat one in the source; None for the source itself.
    is_computed : bool
        Whether the values are functions of those of the source that need not be zero where
        they are.
    doubled : torch.Tensor or None
        What `moved` would be for a source of the shape `doubled_shape`; None where it could not be
        moved so.
    """

    source: Source
    moved: Tensor | None = None
    is_computed: bool = False
    doubled: Tensor | None = None

    @property
    def positions(self) -> Tensor:
        """For each position of the tensor the flat one in the source."""
        if self.moved is not None:
            return self.moved
        return torch.arange(math.prod(self.source.shape)).view(self.source.shape)

    @property
    def doubled_positions(self) -> Tensor | None:
        """The same for a source of the shape `doubled_shape`, if it could be moved."""
        if self.moved is not None:
            return self.doubled
        shape = self.source.doubled_shape
        return torch.arange(math.prod(shape)).view(shape)

    def whole_axis(self, axis: int) -> int | None:
        """The axis of the source that one axis is, from its first to its last position."""
        found = self.along(axis)
        if found is None or len(found[0]) != 1:
            return None
        (of_source,), positions = found
        every = np.arange(self.source.shape[of_source])
        return of_source if np.array_equal(positions, every) else None

    def along(self, axis: int) -> tuple[tuple[int, ...], Indices] | None:
        """The axes of the source that one axis runs through, and its flat positions on them.

        None where they differ from line to line, so that nothing could be cut out.
        """
        if self.moved is None:
            return (axis,), np.arange(self.source.shape[axis])
        everywhere = self.coordinates()
        first = tuple(slice(None) if k == axis else 0 for k in range(self.moved.ndim))
        line = [coordinate[first] for coordinate in everywhere]
        axes = tuple(k for k, c in enumerate(line) if len(c) and bool((c != c[0]).any()))
        if not axes:
            return self._along_single(axis)
        spread = [-1 if k == axis else 1 for k in range(self.moved.ndim)]
        if any(bool((everywhere[k] != line[k].view(spread)).any()) for k in axes):
            return None
        sizes = [self.source.shape[k] for k in axes]
        return axes, np.ravel_multi_index([line[k].numpy() for k in axes], sizes)

    def _along_single(self, axis: int) -> tuple[tuple[int, ...], Indices] | None:
        """The same for axes of length one of the source."""
        if self.moved is None or self.doubled is None:
            return None
        source = Source(self.source.name, self.source.doubled_shape)
        found = OpenPart(source, self.doubled).along(axis)
        if found is None or any(self.source.shape[k] > 1 for k in found[0]):
            return None
        return found[0], np.zeros(self.moved.shape[axis], dtype=np.intp)

    def coordinates(self) -> list[Tensor]:
        """For each axis of the source the position there at each position of the tensor."""
        shape, positions = self.source.shape, self.positions
        steps = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        return [positions // step % n for step, n in zip(steps, shape, strict=True)]


@dataclass
class Value:
    """A tensor between layers.

    Parameters
    ----------
    shape : tuple of int
        Its shape for the example, rows first.
    axis : int or None
        The axis of the units; None where there is none, or where no layer has read it yet.
    units : ndarray of shape (shape[axis],)
        The unit at each position; empty without an axis.
    stacked : torch.Tensor of the same shape, or None
        The unit at each position where units differ along several axes.
    parts : list of OpenPart
        Where the values come from, for open tensors.
    doubled : torch.Tensor or None
        What `stacked` would be with two units in the place of each, the second of unit u numbered
        -1 - u; None where that is not known.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    units: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    stacked: Tensor | None = None
    parts: list[OpenPart] = field(default_factory=list)
    doubled: Tensor | None = None

    @property
    def is_input(self) -> bool:
        """Whether it is made of features, that no layer has changed yet."""
        return any(not part.source.name for part in self.parts)

    @property
    def parameter(self) -> str | None:
        """The name of the parameter that it is made of, first of all buffers and parameters."""
        names = [part.source.name for part in self.parts]
        trained = [part.source.name for part in self.parts if part.source.is_trained]
        return (trained or names)[0] if names and all(names) else None

    @property
    def all_units(self) -> Indices:
        """The units of all positions."""
        return self.units if self.stacked is None else np.unique(self.stacked.numpy())

    @property
    def axes(self) -> list[int]:
        """The axes of units."""
        if self.stacked is not None:
            return axes_of(self.stacked, self.doubled)
        return [] if self.axis is None else [self.axis]

    def like(self, shape: Any, axis: int | None = None) -> Value:
        """The same units in a tensor of another shape, by default on the same axis."""
        return Value(tuple(shape), self.axis if axis is None else axis, self.units)

    def labels(self) -> Tensor:
        """The unit at each position."""
        if self.stacked is not None:
            return self.stacked
        assert self.axis is not None
        spread = [-1 if k == self.axis else 1 for k in range(len(self.shape))]
        return torch.from_numpy(self.units).view(spread).expand(self.shape)

    def doubled_labels(self) -> Tensor | None:
        """The same with two units in the place of each; positions for open tensors."""
        if self.stacked is not None:
            return self.doubled
        if self.axis is None:
            return self.parts[0].doubled_positions if self.parts else None
        spread = [-1 if k == self.axis else 1 for k in range(len(self.shape))]
        shape = [2 * n if k == self.axis else n for k, n in enumerate(self.shape)]
        return torch.from_numpy(_doubled(self.units)).view(spread).expand(shape)

    @property
    def doubled_shape(self) -> tuple[int, ...]:
        """The shape with two units in the place of each."""
        labels = self.doubled_labels()
        return self.shape if labels is None else tuple(labels.shape)


def _doubled(units: Indices) -> Indices:
    """Units along an axis with another one behind each: behind the whole run of its positions."""
    starts = np.flatnonzero(np.diff(units, prepend=-1))
    lengths = np.diff(starts, append=len(units))
    firsts = units[starts]
    pairs = np.stack([firsts, -1 - firsts], axis=1).ravel()
    return np.repeat(pairs, np.repeat(lengths, 2))


def doubles(doubled: Tensor, labels: Tensor) -> bool:
    """Whether the second units all stand on one axis, which alone became longer for them.

    Otherwise numbers in the code made another axis longer, such as that of the rows.
    """
    if doubled.ndim != labels.ndim:
        return False
    longer = [k for k, n in enumerate(labels.shape) if doubled.shape[k] != n]
    return len(longer) == 1 and axes_of(doubled < 0) == longer


def axes_of(labels: Tensor, doubled: Tensor | None = None) -> list[int]:
    """The axes along which units differ, or would if there were two in the place of each."""
    tensors = [labels] if doubled is None else [labels, doubled]
    return [k for k in range(labels.ndim) if any(_varies(tensor, k) for tensor in tensors)]


def _varies(labels: Tensor, axis: int) -> bool:
    n = labels.shape[axis] - 1
    return (
        n > 0
        and labels.stride(axis) != 0
        and bool((labels.narrow(axis, 1, n) != labels.narrow(axis, 0, n)).any())
    )


def line_along(labels: Tensor, axis: int) -> Indices:
    """The units along one axis, at the first position of all others."""
    line = labels[tuple(slice(None) if k == axis else 0 for k in range(labels.ndim))]
    return line.numpy().astype(np.intp)


@dataclass(frozen=True)
class Size:
    """A number that the code takes from the shape of a tensor.

    Parameters
    ----------
    number : int
        The number in the example.
    counted : tuple of (Value, int)
        The tensors and axes whose sizes were multiplied.
    """

    number: int
    counted: tuple[tuple[Value, int], ...]

    @property
    def units(self) -> Indices:
        """The units that it counts, each as often as it does; empty where it counts others."""
        found = [value.units for value, axis in self.counted if value.axis == axis]
        if len(found) != 1 or not len(found[0]):
            return np.empty(0, dtype=np.intp)
        return np.tile(found[0], self.number // len(found[0]))


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
        Name of the layer, or of the function that uses the parameter.
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
