"""Progress of a long fit: lines on standard output, the only ones that this package writes.

Verbosity means the same everywhere:

* 0 writes nothing;
* 1 writes the first and the last line of each loop, and at most one a second in between;
* 2 writes a line for each unit of work; what runs inside it (the path of a fold, the solver of a
  strength) is then as talkative as with one less.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from types import TracebackType
from typing import Any, Self

#: Seconds between two lines of a loop, unless each unit is asked for.
INTERVAL = 1.0


class Progress:
    """Lines about one loop of a fit, each with the seconds since it began.

    As a context manager, it writes the last line that was held back when the loop ends.

    Parameters
    ----------
    name : str
        Who works: the class of an estimator or solver.
    unit : str
        What is counted, such as "epoch" or "fold".
    total : int or None, default=None
        How many there will be; None where that is not known, and how long it takes neither.
    verbose : int, default=0
        What is written; see the head of this module.
    time_limit : float or None, default=None
        Seconds after which the loop ends in any case.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        total: int | None = None,
        *,
        verbose: int = 0,
        time_limit: float | None = None,
    ) -> None:
        self._name, self._unit, self._total = name, unit, total
        self._verbose, self._limit = verbose, time_limit
        self._done = 0
        self._held: tuple[Callable[..., str], tuple[Any, ...]] | None = None
        if verbose:
            self._began = perf_counter()
            self._written = -INTERVAL

    def step(self, text: Callable[..., str], *args: Any, done: int | None = None) -> None:
        """Say that one unit more is done.

        Parameters
        ----------
        text : callable
            Returns what there is to say; called only where it is written.
        *args : object
            What it is called with.
        done : int or None, default=None
            How many units are done; None is one more than before.
        """
        self._done = self._done + 1 if done is None else done
        if not self._verbose:
            return
        seconds = perf_counter() - self._began
        is_due = self._verbose > 1 or seconds - self._written >= INTERVAL
        if is_due or self._done == self._total:
            self._write(seconds, text, args)
        else:
            self._held = (text, args)

    def say(self, text: str) -> None:
        """Write a line about a stage of the work that is no unit."""
        if self._verbose:
            self.flush()
            seconds = perf_counter() - self._began
            print(f"[{self._name}] {seconds:.1f} s: {text}", flush=True)

    def flush(self) -> None:
        """Write the last line if it was held back."""
        if self._held is not None:
            self._write(perf_counter() - self._began, *self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.flush()

    def _write(self, seconds: float, text: Callable[..., str], args: tuple[Any, ...]) -> None:
        self._written, self._held = seconds, None
        of = "" if self._total is None else f"/{self._total}"
        print(
            f"[{self._name}] {self._unit} {self._done}{of}, {seconds:.1f} s{self._left(seconds)}: "
            f"{text(*args)}",
            flush=True,
        )

    def _left(self, seconds: float) -> str:
        if self._limit is not None:
            return f", at most {max(self._limit - seconds, 0.0):.1f} s left"
        if self._total is None or not 0 < self._done < self._total:
            return ""
        return f", {seconds / self._done * (self._total - self._done):.1f} s left"
