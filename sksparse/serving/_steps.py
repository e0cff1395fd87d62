"""A program as steps on one buffer: where each value stands, and products with their weights.

Values stand in runs of slots, a slot for each number of a row. A value that has been read for the
last time makes room for others. Reshaping moves nothing, selecting only says which slots are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.serving._kinds import Shape
from sksparse.serving._program import Operation, Program


@dataclass(frozen=True)
class Map:
    """How positions of a map are found.

    Parameters
    ----------
    height, width : int, default=1
        Positions down and right.
    down, right : int, default=0
        Slots of the input from one position to the next.
    channel : int, default=0
        Slots of the input from one channel to the next.
    """

    height: int = 1
    width: int = 1
    down: int = 0
    right: int = 0
    channel: int = 0


@dataclass(frozen=True)
class Step:
    """One step on the buffer.

    Parameters
    ----------
    kind : str
        ``"product"``, ``"gather"``, ``"largest"``, ``"mean"``, ``"scale"``, ``"sum"`` or
        ``"apply"``.
    source, target : int
        The first slots of what is read and made.
    units : int
        Outputs of a product, channels of a pool or a scale, slots otherwise.
    picks : ndarray of int
        The slots that are read, from the source on; -1 stands for `low` in a gather.
    weight : ndarray of shape (units, n_picks)
        Of a product; of a mean the share at each position, of a scale the factors.
    bias : ndarray
        Of a product; of a scale the shifts.
    low, high : float, default=-inf, inf
        What bounds a product from below; the parameters of a function.
    function : str, default=""
        What is applied.
    other : int, default=0
        The first slot of a second value.
    map : Map
        The positions.
    size : int, default=1
        Slots of a channel of a scale.
    """

    kind: str
    source: int
    target: int
    units: int
    picks: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    weight: Array = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    bias: Array = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    low: float = -np.inf
    high: float = np.inf
    function: str = ""
    other: int = 0
    map: Map = field(default_factory=Map)
    size: int = 1


@dataclass(frozen=True)
class Placed:
    """A value in the buffer.

    Parameters
    ----------
    shape : tuple of int
        Of one row.
    run : int
        The number of the value that its slots were taken for.
    start : int
        The first slot.
    picks : ndarray of int or None, default=None
        The slots that hold it, from there on; None for all in order.
    """

    shape: Shape
    run: int
    start: int
    picks: Indices | None = None


class Steps:
    """The steps of a program, and the slots that are taken.

    Parameters
    ----------
    program : Program
        A program that fits the tensors.
    tensors : mapping of str to ndarray
        Tensors by name.

    Attributes
    ----------
    steps : list of Step
        In order.
    shapes : tuple of tuple of int
        The shapes of all values by number.
    values : dict of int to Placed
        Those that were made.
    n_slots : int
        Length of the buffer for one row. The input stands in the first slots.
    read : ndarray of bool of shape (n_inputs,)
        Which numbers of the input are read at all.
    output : int
        The first slot of the output.
    output_shape : tuple of int
        Its shape for one row.
    """

    def __init__(self, program: Program, tensors: Mapping[str, Array]) -> None:
        self.steps: list[Step] = []
        self.n_slots = 0
        self.output = 0
        self.output_shape: Shape = ()
        self.shapes = program.value_shapes({name: t.shape for name, t in tensors.items()})
        self._tensors = tensors
        self._free: list[tuple[int, int]] = []
        self._scratch: list[tuple[int, int]] = []  # what the operation at hand needs for itself
        self._runs: dict[int, tuple[int, int]] = {}
        self.read = np.zeros(math.prod(program.input_shape), dtype=bool)
        self.values = {0: self.place(0)}

    def take(self, n: int) -> int:
        """The first of so many slots that are free; they are no longer."""
        for k, (start, size) in enumerate(self._free):
            if size >= n:
                self._free[k] = start + n, size - n
                return start
        self.n_slots += n
        return self.n_slots - n

    def place(self, number: int) -> Placed:
        """Slots for the value of a number."""
        n = math.prod(self.shapes[number])
        start = self.take(n)
        self._runs[number] = start, n
        return Placed(self.shapes[number], number, start)

    def borrow(self, n: int) -> int:
        """The first of so many slots for the operation at hand alone."""
        start = self.take(n)
        self._scratch.append((start, n))
        return start

    def release(self, is_last: Callable[[int], bool]) -> None:
        """Free what the operation at hand borrowed, and the slots of values read a last time."""
        self._free += self._scratch
        self._scratch = []
        for number in [number for number in self._runs if is_last(number)]:
            self._free.append(self._runs.pop(number))

    def add(self, kind: str, source: Placed | int, target: int, units: int, **others: Any) -> None:
        """Add a step."""
        first = source.start if isinstance(source, Placed) else source
        self.steps.append(Step(kind, first, target, units, **others))

    def slots(self, value: Placed) -> Indices:
        """The slots that hold a value, from its start on, which are about to be read."""
        every = np.arange(math.prod(value.shape))
        slots = every if value.picks is None else value.picks
        if value.run == 0:
            self.read[slots] = True
        return slots

    def whole(self, value: Placed) -> Placed:
        """A value that stands in all its slots in order, which are about to be read."""
        slots = self.slots(value)
        if value.picks is None:
            return value
        target = self.borrow(len(slots))
        self.add("gather", value, target, len(slots), picks=slots)
        return Placed(value.shape, value.run, target)

    def tensor(self, operation: Operation, role: str, missing: float, n: int) -> Array:
        """A tensor of an operation, or a constant where it has none for the role."""
        name = operation.tensors.get(role)
        if name is None:
            return np.full(n, missing, dtype=np.float32)
        return np.asarray(self._tensors[name], dtype=np.float32)
