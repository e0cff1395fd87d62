"""What a row of the structured benchmark is, and whether it reaches what it must."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any


@dataclass(frozen=True)
class Limit:
    """A bound on one of the numbers of a fit, on the mean over the seeds.

    Parameters
    ----------
    name : str
        Key of the number in a run, such as "error" (in per cent) or "flops" (the share left).
    value : float
        The bound.
    is_least : bool, default=False
        Whether the number must be at least the bound, not at most.
    """

    name: str
    value: float
    is_least: bool = False

    def holds(self, runs: list[dict[str, Any]]) -> bool:
        """Whether the mean, rounded as the table shows it, is within the bound."""
        found = round(mean(run[self.name] for run in runs), 3)
        return found >= self.value if self.is_least else found <= self.value

    def __str__(self) -> str:
        sign = ">=" if self.is_least else "<="
        return f"{self.name} {sign} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One line of a table: an estimator, fitted with several seeds.

    Parameters
    ----------
    make : callable
        Takes a seed and returns the estimator.
    limits : tuple of Limit, default=()
        What the row must reach; empty for a row to compare with.
    data : str, default="mnist"
        Name of the data in :mod:`.data`.
    note : str, default=""
        What was published, or why the row is there.
    n_seeds : int, default=3
        Seeds to run; one where a run takes more than five minutes.
    """

    make: Callable[[int], Any]
    limits: tuple[Limit, ...] = ()
    data: str = "mnist"
    note: str = ""
    n_seeds: int = 3

    def must(self) -> str:
        """What the row must reach, in words."""
        return ", ".join([*map(str, self.limits), *([self.note] if self.note else [])])

    def verdict(self, runs: list[dict[str, Any]]) -> str:
        """Whether it does."""
        if not self.limits:
            return "to compare"
        missed = [limit.name for limit in self.limits if not limit.holds(runs)]
        return f"no: {', '.join(missed)}" if missed else "yes"
