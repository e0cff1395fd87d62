"""Progress of a long fit: one line on standard output for each unit of work.

All estimators, solvers and trainings that are asked to be verbose write through this module, and
nothing else writes to standard output.
"""

from __future__ import annotations

from time import perf_counter


class Progress:
    """Lines of one fit.

    Parameters
    ----------
    name : str
        Who works: the class of an estimator or solver.
    unit : str
        What is counted, such as "epoch" or "fold".
    total : int or None
        How many there are at most; None where that is not known.
    enabled : bool
        Whether anything is written.
    """

    def __init__(self, name: str, unit: str, total: int | None, *, enabled: bool) -> None:
        self._name, self._unit, self._total, self._enabled = name, unit, total, enabled
        self._start = perf_counter()
        self._done = 0

    def step(self, text: str) -> None:
        """One unit more is done; say so, with the seconds since the start and those left."""
        self._done += 1
        if not self._enabled:
            return
        seconds = perf_counter() - self._start
        of, left = "", ""
        if self._total is not None:
            of = f"/{self._total}"
            remaining = seconds / self._done * max(self._total - self._done, 0)
            left = f", {remaining:.1f} s left"
        print(
            f"[{self._name}] {self._unit} {self._done}{of}, {seconds:.1f} s{left}: {text}",
            flush=True,
        )
