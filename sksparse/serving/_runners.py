"""Forms of a whole program: functions from rows to outputs, and the choice among them.

Which form is the fastest depends on the machine, on how many weights are zero, and on the number of
rows: it is measured, on the rows at hand.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby, product

import numpy as np

from sksparse._kernels.serving import lanes, others, single_row
from sksparse._typing import Array, Indices
from sksparse.serving._steps import Step, Steps
from sksparse.serving._tables import (
    Tables,
    blocks_read,
    lane_tables,
    other_tables,
    room_between,
    row_forms,
    row_tables,
)

#: Rows side by side that are tried, and the numbers that a buffer has at most, unless it must.
LANES, _BUFFER_NUMBERS = (64, 128, 192, 256), 2**24

#: How often each form runs when they are compared: up to this time, and so often at least. Other
#: processes can make a run slow, and never fast.
_TURNS, _LEAST_TURNS, _SECONDS = 20, 4, 0.02

Runner = Callable[[Array], Array]
#: Runs of products and of other steps: whether they are products, and what their loop takes.
Calls = list[tuple[bool, tuple[np.ndarray, ...]]]


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
    calls : list of tuple
        What runs, by ``_calls``.
    n_lanes : int
        Rows side by side, a multiple of 16.
    together : int
        The last rows take a multiple of so many lanes.
    """

    def __init__(self, steps: Steps, calls: Calls, n_lanes: int, together: int) -> None:
        self._calls = calls
        self._output, self._width = steps.output, math.prod(steps.output_shape)
        self._blocks = blocks_read(steps)
        self._n_lanes, self._together = n_lanes, together
        self._buffers = _Buffers(steps.n_slots * n_lanes)

    def __call__(self, X: Array) -> Array:
        """Outputs for rows of float32, contiguous, of shape (n_rows, n_inputs)."""
        out = np.empty((len(X), self._width), dtype=np.float32)
        buffer, sizes = self._buffers.buffer, (self._n_lanes, self._together)
        if len(self._calls) == 1 and self._calls[0][0]:
            tables = self._calls[0][1]
            lanes.predict(X, out, self._blocks, self._output, *tables, buffer, *sizes)
            return out
        for first in range(0, len(X), self._n_lanes):
            n = min(self._n_lanes, len(X) - first)
            used = min(-(-n // self._together) * self._together, self._n_lanes)
            lanes.put_in(X, first, n, buffer, used, self._blocks)
            for is_product, tables in self._calls:
                run = lanes.run_products if is_product else others.run_steps
                run(*tables, buffer, used)
            made = buffer[self._output * used : (self._output + self._width) * used]
            out[first : first + n] = made.reshape(self._width, used)[:, :n].T
        return out


class RowRunner:
    """One row after the other.

    Parameters
    ----------
    steps : Steps
        The steps of the program on some columns.
    columns : ndarray of int
        These columns of X.
    forms : sequence of str
        The form of each step.
    """

    def __init__(self, steps: Steps, columns: Indices, forms: Sequence[str]) -> None:
        self._calls = _calls(steps.steps, forms, row_tables)
        self._output, self._width = steps.output, math.prod(steps.output_shape)
        self._columns = columns.astype(np.uint32)
        self._buffers = _Buffers(row_buffer(steps))

    def __call__(self, X: Array) -> Array:
        """Outputs for rows of float32, contiguous, of shape (n_rows, n_inputs)."""
        out = np.empty((len(X), self._width), dtype=np.float32)
        buffer = self._buffers.buffer
        if len(self._calls) == 1 and self._calls[0][0]:
            tables = self._calls[0][1]
            single_row.predict(X, out, self._columns, self._output, *tables, buffer)
            return out
        for row, found in zip(X, out, strict=True):
            buffer[: len(self._columns)] = row[self._columns]
            for is_product, tables in self._calls:
                if is_product:
                    single_row.run_layers(*tables, buffer)
                else:
                    others.run_steps(*tables, buffer, 1)
            found[:] = buffer[self._output : self._output + self._width]
        return out


def _calls(steps: Sequence[Step], forms: Sequence[str], make: Callable[..., Tables]) -> Calls:
    calls = []
    pairs = zip(steps, forms, strict=True)
    for is_product, group in groupby(pairs, lambda pair: pair[0].kind == "product"):
        some, names = zip(*group, strict=True)
        calls.append((is_product, _arrays(make(some, names) if is_product else other_tables(some))))
    return calls


def row_buffer(steps: Steps) -> int:
    """The length of the buffer for a single row, with room for maps of convolutions."""
    products = [step for step in steps.steps if step.kind == "product"]
    return steps.n_slots + max(map(room_between, products), default=0)


class FewRunner:
    """One after the other where rows are few, side by side where they are not.

    Parameters
    ----------
    by_row : RowRunner
        For few rows.
    side_by_side : LaneRunner
        For others.
    most : int
        So many rows are few.
    """

    def __init__(self, by_row: RowRunner, side_by_side: LaneRunner, most: int) -> None:
        self._by_row, self._side_by_side, self._most = by_row, side_by_side, most

    def __call__(self, X: Array) -> Array:
        """Outputs for rows of float32, contiguous, of shape (n_rows, n_inputs)."""
        return self._by_row(X) if len(X) <= self._most else self._side_by_side(X)


def lane_runner(steps: Steps, X: Array, widths: Sequence[int] = LANES) -> LaneRunner:
    """The fastest form with rows side by side, by trying them on rows of X.

    Parameters
    ----------
    steps : Steps
        The steps of the program.
    X : ndarray of shape (n_rows, n_inputs)
        Some rows, of float32 and contiguous.
    widths : sequence of int, default=LANES
        Rows side by side that are tried.

    Returns
    -------
    runner : LaneRunner
        For about so many rows.
    """
    fitting = [width for width in widths if width * steps.n_slots <= _BUFFER_NUMBERS]
    fitting = fitting or [lanes.VECTOR]
    calls = _calls(steps.steps, _lane_forms(steps, X[: fitting[0]], fitting[0]), lane_tables)
    # products of several vectors at once are faster, and may be of rows that are none
    pairs = product(fitting, (lanes.VECTOR, lanes.VECTOR * lanes.VECTORS_AT_ONCE))
    runners = [LaneRunner(steps, calls, *pair) for pair in pairs if pair[0] % pair[1] == 0]
    return runners[int(np.argmin(_least_seconds([partial(runner, X) for runner in runners])))]


def few_runner(by_row: RowRunner, side_by_side: LaneRunner, X: Array) -> FewRunner:
    """What takes the faster of two forms, by trying them on rows of X."""
    one, vector = _least_seconds([partial(by_row, X[:1]), partial(side_by_side, X)])
    return FewRunner(by_row, side_by_side, int(vector / one))


def row_runner(steps: Steps, columns: Indices, X: Array) -> RowRunner:
    """The fastest form row by row, by trying them on the first row of X.

    Parameters
    ----------
    steps : Steps
        The steps of the program on some columns.
    columns : ndarray of int
        These columns of X.
    X : ndarray of shape (n_rows, n_inputs)
        Some rows, of float32 and contiguous.

    Returns
    -------
    runner : RowRunner
        For few rows.
    """
    buffer = np.zeros(row_buffer(steps), dtype=np.float32)
    buffer[: len(columns)] = X[0, columns]
    forms = []
    for step in steps.steps:
        if step.kind == "product":
            tables = {name: _arrays(row_tables([step], [name])) for name in row_forms(step)}
            calls = [partial(single_row.run_layers, *each, buffer) for each in tables.values()]
            forms.append(list(tables)[int(np.argmin(_least_seconds(calls)))])
        else:
            forms.append("")
            others.run_steps(*_arrays(other_tables([step])), buffer, 1)
    return RowRunner(steps, columns, forms)


def _lane_forms(steps: Steps, X: Array, n_lanes: int) -> list[str]:
    """For each product the faster of its forms, on what reaches it."""
    buffer = np.zeros(steps.n_slots * n_lanes, dtype=np.float32)
    lanes.put_in(X, 0, len(X), buffer, n_lanes, blocks_read(steps))
    forms = []
    for step in steps.steps:
        if step.kind == "product":
            tables = {name: _arrays(lane_tables([step], [name])) for name in ("dense", "sparse")}
            run = lanes.run_products
            calls = [partial(run, *each, buffer, n_lanes) for each in tables.values()]
            forms.append(list(tables)[int(np.argmin(_least_seconds(calls)))])
        else:
            forms.append("")
            others.run_steps(*_arrays(other_tables([step])), buffer, n_lanes)
    return forms


def _arrays(tables: Tables) -> tuple[np.ndarray, ...]:
    """What a loop takes: the others have no pointers."""
    if tables.table.shape[1] == others.COLUMNS:
        return tables.table, tables.weights, tables.indices
    return tables.table, tables.pointers, tables.weights, tables.indices


def _least_seconds(calls: Sequence[Callable[[], object]]) -> list[float]:
    """The least time that each call takes; they take turns."""
    least = [np.inf] * len(calls)
    until = time.perf_counter() + _SECONDS
    for turn in range(_TURNS if len(calls) > 1 else 1):
        for k, call in enumerate(calls):
            before = _clock()
            call()
            least[k] = min(least[k], _clock() - before)
        if turn + 1 >= _LEAST_TURNS and time.perf_counter() > until:
            break
    return least


# the time of the processor leaves out that of other processes, but some systems count it coarsely
_is_fine = time.get_clock_info("thread_time").resolution < 1e-6
_clock = time.thread_time if _is_fine else time.perf_counter
