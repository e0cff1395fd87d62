"""Forms of a whole program: functions from rows to outputs, and the choice among them.

Which form is the fastest depends on the machine, on how many weights are zero, and on the number of
rows: it is measured, on the rows at hand.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, product

import numpy as np

from sksparse._kernels.serving import lanes, single_row
from sksparse._typing import Array, Indices
from sksparse.serving._steps import Steps
from sksparse.serving._tables import (
    Tables,
    blocks_read,
    lane_tables,
    row_forms,
    row_tables,
)

#: Rows side by side that are tried, and the numbers that a buffer has at most, unless it must.
_LANES, _BUFFER_NUMBERS = (64, 128, 192, 256), 2**24

#: How often each form runs when they are compared: up to this time, and so often at least. Other
#: processes can make a run slow, and never fast.
_TURNS, _LEAST_TURNS, _SECONDS = 20, 4, 0.02

Runner = Callable[[Array], Array]


class _Buffers(threading.local):
    """A buffer for each thread."""

    def __init__(self, n: int) -> None:
        self.buffer = np.zeros(n, dtype=np.float32)


class LaneRunner:
    """Many rows side by side.

    Parameters
    ----------
    steps : Steps
        The steps of the program.
    forms : sequence of str
        The form of each.
    n_lanes : int
        Rows side by side, a multiple of 16.
    together : int
        The last rows take a multiple of so many lanes.
    """

    def __init__(self, steps: Steps, forms: Sequence[str], n_lanes: int, together: int) -> None:
        tables = lane_tables(steps.steps, forms)
        self._width = int(np.prod(steps.output_shape))
        self._start = blocks_read(steps), steps.output
        self._tables = tables.table, tables.pointers, tables.weights, tables.indices
        self._sizes = n_lanes, together
        self._buffers = _Buffers(steps.n_slots * n_lanes)

    def __call__(self, X: Array) -> Array:
        """Outputs for rows of float32, contiguous, of shape (n_rows, n_inputs)."""
        out = np.empty((len(X), self._width), dtype=np.float32)
        buffer = self._buffers.buffer
        lanes.predict(X, out, *self._start, *self._tables, buffer, *self._sizes)
        return out


class RowRunner:
    """One row after the other, for programs without maps.

    Parameters
    ----------
    steps : Steps
        The steps of the program on some columns, which are no convolutions.
    columns : ndarray of int
        These columns of X.
    forms : sequence of str
        The form of each step.
    """

    def __init__(self, steps: Steps, columns: Indices, forms: Sequence[str]) -> None:
        self._columns = columns.astype(np.uint32)
        self._output, self._width = steps.output, int(np.prod(steps.output_shape))
        self._calls = []
        pairs = zip(steps.steps, forms, strict=True)
        for is_product, group in groupby(pairs, lambda pair: pair[0].kind == "product"):
            make = row_tables if is_product else lane_tables
            tables = make(*zip(*group, strict=True))
            arrays = tables.table, tables.pointers, tables.weights, tables.indices
            self._calls.append((is_product, arrays))
        self._buffers = _Buffers(steps.n_slots)

    def __call__(self, X: Array) -> Array:
        """Outputs for rows of float32, contiguous, of shape (n_rows, n_inputs)."""
        out = np.empty((len(X), self._width), dtype=np.float32)
        buffer = self._buffers.buffer
        if len(self._calls) == 1 and self._calls[0][0]:
            arrays = self._calls[0][1]
            single_row.predict(X, out, self._columns, self._output, *arrays, buffer)
            return out
        for row, found in zip(X, out, strict=True):
            buffer[: len(self._columns)] = row[self._columns]
            for is_product, arrays in self._calls:
                if is_product:
                    single_row.run_layers(*arrays, buffer)
                else:
                    lanes.run_steps(*arrays, buffer, 1)
            found[:] = buffer[self._output : self._output + self._width]
        return out


def runs_by_row(steps: Steps) -> bool:
    """Whether a program can run row by row: it has no convolution."""
    return all(s.map.height * s.map.width == 1 for s in steps.steps if s.kind == "product")


def lane_runner(steps: Steps, X: Array) -> LaneRunner:
    """The fastest form with rows side by side, by trying them on rows of X.

    Parameters
    ----------
    steps : Steps
        The steps of the program.
    X : ndarray of shape (n_rows, n_inputs)
        Some rows, of float32 and contiguous.

    Returns
    -------
    runner : LaneRunner
        For about so many rows.
    """
    most = _BUFFER_NUMBERS // steps.n_slots
    n = -(-len(X) // lanes.VECTOR) * lanes.VECTOR
    enough = next((width for width in (lanes.VECTOR, 32, *_LANES) if width >= n), np.inf)
    widths = [int(enough)] if enough <= most else [w for w in _LANES if w < n and w <= most]
    widths = widths or [lanes.VECTOR]
    forms = _lane_forms(steps, X[: widths[0]], widths[0])
    # products of several vectors at once are faster, and may be of rows that are none
    pairs = product(widths, (lanes.VECTOR, lanes.VECTOR * lanes.VECTORS_AT_ONCE))
    runners = [LaneRunner(steps, forms, *pair) for pair in pairs if pair[0] % pair[1] == 0]
    return runners[_quickest([partial(runner, X) for runner in runners])]


def row_runner(steps: Steps, columns: Indices, X: Array) -> RowRunner:
    """The fastest form row by row, by trying them on the first row of X.

    Parameters
    ----------
    steps : Steps
        The steps of the program on some columns, which are no convolutions.
    columns : ndarray of int
        These columns of X.
    X : ndarray of shape (n_rows, n_inputs)
        Some rows, of float32 and contiguous.

    Returns
    -------
    runner : RowRunner
        For few rows.
    """
    buffer = np.zeros(steps.n_slots, dtype=np.float32)
    buffer[: len(columns)] = X[0, columns]
    forms = []
    for step in steps.steps:
        if step.kind == "product":
            names, make, run = row_forms(step), row_tables, single_row.run_layers
        else:
            names, make, run = ("",), lane_tables, partial(lanes.run_steps, lanes=1)
        tables = [_arrays(make([step], [name])) for name in names]
        forms.append(names[_quickest([partial(run, *arrays, buffer) for arrays in tables])])
    return RowRunner(steps, columns, forms)


def fastest(runners: Sequence[Runner], X: Array) -> Runner:
    """The fastest of some forms on rows of X."""
    return runners[_quickest([partial(runner, X) for runner in runners])]


def _lane_forms(steps: Steps, X: Array, n_lanes: int) -> list[str]:
    """For each product the faster of its forms, on what reaches it."""
    buffer = np.zeros(steps.n_slots * n_lanes, dtype=np.float32)
    out = np.empty((len(X), 0), dtype=np.float32)
    # no step, so that the rows are only put in
    start = blocks_read(steps), 0
    lanes.predict(X, out, *start, *_arrays(lane_tables([], [])), buffer, n_lanes, n_lanes)
    forms = []
    for step in steps.steps:
        names = ("dense", "sparse") if step.kind == "product" else ("",)
        tables = [_arrays(lane_tables([step], [name])) for name in names]
        calls = [partial(lanes.run_steps, *arrays, buffer, n_lanes) for arrays in tables]
        forms.append(names[_quickest(calls)])
    return forms


def _arrays(tables: Tables) -> tuple[np.ndarray, ...]:
    return tables.table, tables.pointers, tables.weights, tables.indices


def _quickest(calls: Sequence[Callable[[], object]]) -> int:
    """The number of the call that takes the least time; they take turns."""
    least = [np.inf] * len(calls)
    until = time.perf_counter() + _SECONDS
    for turn in range(_TURNS if len(calls) > 1 else 1):
        for k, call in enumerate(calls):
            before = _clock()
            call()
            least[k] = min(least[k], _clock() - before)
        if turn + 1 >= _LEAST_TURNS and time.perf_counter() > until:
            break
    return int(np.argmin(least))


# the time of the processor leaves out that of other processes, but some systems count it coarsely
_is_fine = time.get_clock_info("thread_time").resolution < 1e-6
_clock = time.thread_time if _is_fine else time.perf_counter
