"""Outputs of a network from its program and tensors, by the form that is fastest here."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from sksparse._typing import Array
from sksparse.serving._expansion import expanded
from sksparse.serving._lowering import lower, without_selection
from sksparse.serving._numpy_forms import run_numpy
from sksparse.serving._program import Program

if TYPE_CHECKING:
    from sksparse.serving._runners import Runner

#: Rows from which they only run side by side, and from which a batch is large.
_SIDE_BY_SIDE, _MANY = 16, 256

#: Rows on which forms are measured at most, and rows of a task of a thread at least.
_MEASURED, _LEAST_ROWS = 1024, 64

_FORMS = ("auto", "numpy", "lanes", "rows")


class Predictor:
    """Runs a program on rows, without torch.

    Parameters
    ----------
    program : Program
        What is computed.
    tensors : mapping of str to ndarray
        The tensors that it names, which are kept as float32.
    n_threads : int, default=1
        Threads that share the rows of a call; -1 takes one for each processor.
    form : {"auto", "numpy", "lanes", "rows"}, default="auto"
        How it is computed. ``"numpy"`` takes all weights in the products of NumPy, and nothing is
        compiled. ``"lanes"`` puts many rows side by side in vectors, ``"rows"`` takes one row after
        the other; both leave out zeros where that is faster. ``"auto"`` takes NumPy for the first
        call and then, for each size of batch, what was the fastest when it was tried on this
        machine.

    Raises
    ------
    ValueError
        Where tensors are missing or do not fit, or an argument is none of the above.

    Notes
    -----
    All forms compute in float32, and differ by rounding errors of a few 1e-7 of the largest
    numbers that are summed. One predictor can be called from several threads at once. Hashed
    layers are written out: ``program`` and ``tensors`` have linear ones in their place.

    Examples
    --------
    >>> import numpy as np
    >>> from sksparse.serving import Operation, Predictor, Program
    >>> operations = (
    ...     Operation("linear", (0,), 1, {"weight": "w", "bias": "b"}),
    ...     Operation("activation", (1,), 2, options={"name": "relu"}),
    ... )
    >>> tensors = {"w": np.array([[1.0, 0.0], [0.0, -1.0]]), "b": np.array([0.5, 0.0])}
    >>> Predictor(Program((2,), operations, 2), tensors)(np.array([[1.0, 2.0], [0.0, -3.0]]))
    array([[1.5, 0. ],
           [0.5, 3. ]], dtype=float32)
    """

    def __init__(
        self,
        program: Program,
        tensors: Mapping[str, np.ndarray],
        *,
        n_threads: int = 1,
        form: str = "auto",
    ) -> None:
        if form not in _FORMS:
            raise ValueError(f"form={form!r} must be one of {', '.join(_FORMS)}.")
        if type(n_threads) is not int or n_threads < -1 or n_threads == 0:
            raise ValueError(f"n_threads={n_threads!r} must be a whole number from 1 on, or -1.")
        single = {
            name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()
        }
        program, single = expanded(program, single)
        self.program, self.tensors = program, single
        shapes = program.value_shapes({name: t.shape for name, t in self.tensors.items()})
        self.output_shape = shapes[program.output]
        _check_masks(program, self.tensors)
        self.n_threads, self.form = n_threads, form
        self._start()

    def _start(self) -> None:
        self._runners: dict[int, Runner] = {}
        self._is_first_call = True
        self._lock = threading.Lock()
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def __call__(self, X: np.ndarray) -> Array:
        """The outputs for rows.

        Parameters
        ----------
        X : ndarray of shape (n_rows, ...)
            Rows of the shape that the program takes.

        Returns
        -------
        outputs : ndarray of shape (n_rows, ...)
            As float32.
        """
        rows = np.asarray(X, dtype=np.float32, order="C")
        if rows.shape[1:] != self.program.input_shape or not rows.ndim:
            raise ValueError(
                f"X has shape {np.shape(X)}; the network takes rows of shape "
                f"{self.program.input_shape}."
            )
        n = len(rows)
        if not n:
            return np.empty((0, *self.output_shape), dtype=np.float32)
        runner = self._runners.get(_batch_class(n))
        flat = rows.reshape(n, -1)
        if runner is None:
            runner = self._runner(flat)
        if self.n_threads == 1 or n < 2 * _LEAST_ROWS:
            out = runner(flat)
        else:
            out = self._in_threads(runner, flat)
        return out if len(self.output_shape) == 1 else out.reshape(n, *self.output_shape)

    def _runner(self, X: Array) -> Runner:
        """What runs batches of about this size; from the second call on it is kept."""
        with self._lock:
            # another thread may have been here
            found = self._runners.get(_batch_class(len(X)))
            if found is not None:
                return found
            if self.form == "auto" and self._is_first_call:
                self._is_first_call = False
                return self._run_numpy
            is_numpy = self.form == "numpy"
            made = self._run_numpy if is_numpy else self._compiled(X[:_MEASURED])
            self._runners[_batch_class(len(X))] = made
            return made

    def _run_numpy(self, X: Array) -> Array:
        rows = X.reshape(len(X), *self.program.input_shape)
        return run_numpy(self.program, self.tensors, rows).reshape(len(X), -1)

    def _compiled(self, X: Array) -> Runner:
        """The fastest of the compiled forms for these rows."""
        # numba takes a few tenths of a second to import
        from sksparse.serving import _runners as forms

        if self.form == "lanes" or (self.form == "auto" and len(X) >= _SIDE_BY_SIDE):
            return forms.lane_runner(lower(self.program, self.tensors), X)
        program, columns = without_selection(self.program, self.tensors)
        by_row = forms.row_runner(lower(program, self.tensors), columns, X)
        if self.form == "rows":
            return by_row
        narrow = (_SIDE_BY_SIDE,)
        side_by_side = forms.lane_runner(lower(self.program, self.tensors), X, narrow)
        return forms.few_runner(by_row, side_by_side, X)

    def _in_threads(self, runner: Runner, X: Array) -> Array:
        n_threads = self.n_threads if self.n_threads > 0 else os.cpu_count() or 1
        share = -(-len(X) // (n_threads * _LEAST_ROWS)) * _LEAST_ROWS
        parts = [X[first : first + share] for first in range(0, len(X), share)]
        with self._lock:
            # threads do not survive a fork
            if self._pool is None or self._pool[0] != os.getpid():
                self._pool = os.getpid(), ThreadPoolExecutor(n_threads)
            pool = self._pool[1]
        return np.concatenate(list(pool.map(runner, parts)))

    def __getstate__(self) -> dict[str, Any]:
        kept = ("program", "tensors", "output_shape", "n_threads", "form")
        return {name: getattr(self, name) for name in kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()


def _batch_class(n_rows: int) -> int:
    """Batches that are run in the same way share a number."""
    return (n_rows >= _SIDE_BY_SIDE) + (n_rows >= _MANY)


def _check_masks(program: Program, tensors: Mapping[str, Array]) -> None:
    for operation in program.operations:
        if operation.kind == "select":
            name, size = operation.tensors["mask"], operation.options["size"]
            found = int(np.count_nonzero(tensors[name]))
            if found != size:
                raise ValueError(
                    f"The tensor {name!r} keeps {found} units where the program says {size}."
                )
