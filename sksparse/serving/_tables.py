"""Steps as the arrays that compiled loops read; this file imports numba.

Every product has a form: ``"dense"`` takes all its weights, ``"sparse"`` those that are not zero,
and for a single row ``"scatter"`` those of inputs that are not zero, ``"sliding"`` those of a
convolution that are not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sksparse._kernels.serving import lanes, others, single_row
from sksparse._typing import Array, Indices
from sksparse.serving._steps import Step, Steps

_KINDS = {
    "gather": others.GATHER,
    "largest": others.LARGEST,
    "mean": others.MEAN,
    "scale": others.SCALE,
    "sum": others.SUM,
    "apply": others.APPLY,
}
_LANE_FORMS = {"dense": lanes.DENSE, "sparse": lanes.SPARSE}
_ROW_FORMS = {
    "dense": single_row.DENSE,
    "sparse": single_row.SPARSE,
    "scatter": single_row.SCATTER,
    "sliding": single_row.SLIDING,
}
_FUNCTIONS = {
    "clip": others.CLIP,
    "leaky_relu": others.LEAKY_RELU,
    "elu": others.ELU,
    "gelu": others.GELU,
    "gelu_tanh": others.GELU_TANH,
    "silu": others.SILU,
    "sigmoid": others.SIGMOID,
    "tanh": others.TANH,
    "softplus": others.SOFTPLUS,
}


@dataclass(frozen=True)
class Tables:
    """What a compiled loop takes besides rows and a buffer.

    Parameters
    ----------
    table : ndarray of int64 of shape (n_steps, n_columns)
        The steps.
    pointers : ndarray of int64
        Where the weights of each unit begin.
    weights : ndarray of float32
        All numbers.
    indices : ndarray of uint32
        All slots, relative to the sources.
    """

    table: Indices
    pointers: Indices
    weights: Array
    indices: Indices


class _Arrays:
    """Arrays of one type that are put one behind the other."""

    def __init__(self, dtype: type) -> None:
        self._dtype = dtype
        self._parts: list[np.ndarray] = []
        self._length = 0

    def add(self, part: Array | Indices | Sequence[float]) -> int:
        """Put a part behind the others; where it starts."""
        array: np.ndarray = np.asarray(part).ravel().astype(self._dtype)
        self._parts.append(array)
        self._length += len(array)
        return self._length - len(array)

    def joined(self) -> np.ndarray:
        """All parts."""
        return np.concatenate([np.zeros(0, dtype=self._dtype), *self._parts])


class _Writer:
    """Rows of a table, and the arrays that they point into."""

    def __init__(self, n_columns: int) -> None:
        self._n_columns = n_columns
        self._rows: list[list[int]] = []
        self.pointers, self.weights = _Arrays(np.int64), _Arrays(np.float32)
        self.indices = _Arrays(np.uint32)

    def add(self, entries: dict[int, int]) -> None:
        """Add a row, given by its columns that are not zero."""
        row = [0] * self._n_columns
        for column, entry in entries.items():
            row[column] = int(entry)
        self._rows.append(row)

    def compressed(self, matrix: Array, picks: Indices) -> tuple[int, int, int]:
        """Put down what is not zero in the rows of a matrix, by the slots of its columns."""
        rows, columns = np.nonzero(matrix)
        counts = np.bincount(rows, minlength=len(matrix))
        return (
            self.weights.add(matrix[rows, columns]),
            self.indices.add(picks[columns]),
            self.pointers.add(np.concatenate([[0], np.cumsum(counts)])),
        )

    def tables(self) -> Tables:
        """All of it."""
        table = np.array(self._rows, dtype=np.int64).reshape(-1, self._n_columns)
        return Tables(table, self.pointers.joined(), self.weights.joined(), self.indices.joined())


def lane_tables(steps: Sequence[Step], forms: Sequence[str]) -> Tables:
    """Products for many rows side by side.

    Parameters
    ----------
    steps : sequence of Step
        Products.
    forms : sequence of str
        For each of them ``"dense"`` or ``"sparse"``.

    Returns
    -------
    tables : Tables
        For the loops of ``lanes``.
    """
    writer = _Writer(lanes.COLUMNS)
    for step, form in zip(steps, forms, strict=True):
        entries = {
            lanes.KIND: _LANE_FORMS[form],
            lanes.SOURCE: step.source,
            lanes.TARGET: step.target,
            lanes.UNITS: step.units,
            lanes.SIZE: len(step.picks),
            lanes.HEIGHT: step.map.height,
            lanes.WIDTH: step.map.width,
            lanes.DOWN: step.map.down,
            lanes.RIGHT: step.map.right,
            lanes.BIASES: writer.weights.add(step.bias),
            lanes.NUMBERS: writer.weights.add([step.low]),
        }
        if form == "dense":
            entries[lanes.WEIGHTS] = writer.weights.add(step.weight)
            entries[lanes.INDICES] = writer.indices.add(step.picks)
        else:
            places = writer.compressed(step.weight, step.picks)
            entries |= zip((lanes.WEIGHTS, lanes.INDICES, lanes.POINTERS), places, strict=True)
        writer.add(entries)
    return writer.tables()


def other_tables(steps: Sequence[Step]) -> Tables:
    """Steps that are no products, for one or many rows.

    Parameters
    ----------
    steps : sequence of Step
        The steps.

    Returns
    -------
    tables : Tables
        For the loop of ``others``.
    """
    writer = _Writer(others.COLUMNS)
    for step in steps:
        is_pool = step.kind in ("largest", "mean")
        writer.add(
            {
                others.KIND: _KINDS[step.kind],
                others.SOURCE: step.source,
                others.OTHER: step.other,
                others.TARGET: step.target,
                others.UNITS: step.units,
                others.SIZE: len(step.picks) if is_pool else step.size,
                others.WEIGHTS: writer.weights.add(step.weight),
                others.BIASES: writer.weights.add(step.bias),
                others.INDICES: writer.indices.add(step.picks),
                others.HEIGHT: step.map.height,
                others.WIDTH: step.map.width,
                others.DOWN: step.map.down,
                others.RIGHT: step.map.right,
                others.CHANNEL: step.map.channel,
                others.FUNCTION: _FUNCTIONS.get(step.function, 0),
                others.NUMBERS: writer.weights.add([step.low, step.high]),
            }
        )
    return writer.tables()


def row_forms(step: Step) -> tuple[str, ...]:
    """The forms that a product may have for a single row."""
    if step.map.height * step.map.width > 1:
        return ("sliding",)
    in_order = bool((np.diff(step.picks) == 1).all())
    return ("dense", "sparse", "scatter") if in_order else ("sparse", "scatter")


def room_between(step: Step) -> int:
    """Slots from the first to the last position of a map."""
    return (step.map.height - 1) * step.map.down + (step.map.width - 1) * step.map.right + 1


def row_tables(steps: Sequence[Step], forms: Sequence[str]) -> Tables:
    """Products for a single row.

    Parameters
    ----------
    steps : sequence of Step
        Products.
    forms : sequence of str
        For each of them one of ``row_forms``.

    Returns
    -------
    tables : Tables
        For the loop of ``single_row``.
    """
    writer = _Writer(single_row.COLUMNS)
    for step, form in zip(steps, forms, strict=True):
        first = int(step.picks.min())
        places, size = step.picks - first, int(step.picks.max()) - first + 1
        entries = {
            single_row.KIND: _ROW_FORMS[form],
            single_row.SOURCE: step.source + first,
            single_row.TARGET: step.target,
            single_row.UNITS: step.units,
            single_row.SIZE: size + room_between(step) - 1,
            single_row.BIASES: writer.weights.add(step.bias),
            single_row.NUMBERS: writer.weights.add([step.low]),
            single_row.HEIGHT: step.map.height,
            single_row.WIDTH: step.map.width,
            single_row.DOWN: step.map.down,
            single_row.RIGHT: step.map.right,
        }
        columns = single_row.WEIGHTS, single_row.INDICES, single_row.POINTERS
        if form == "dense":
            entries[single_row.WEIGHTS] = writer.weights.add(step.weight)
        elif form in ("sparse", "sliding"):
            entries |= zip(columns, writer.compressed(step.weight, places), strict=True)
        else:
            by_input = np.zeros((size, step.units), dtype=np.float32)
            by_input[places] = step.weight.T
            found = writer.compressed(by_input, np.arange(step.units))
            entries |= zip(columns, found, strict=True)
        writer.add(entries)
    return writer.tables()


def blocks_read(steps: Steps) -> Indices:
    """The first of each sixteen columns of X that are read."""
    columns = np.flatnonzero(steps.read)
    return np.unique(columns // lanes.VECTOR) * lanes.VECTOR
