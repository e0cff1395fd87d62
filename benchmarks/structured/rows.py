"""What a row of the structured benchmark is, and whether it reaches what it must."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import sub, truediv
from statistics import mean
from typing import Any

from torch import Tensor, nn

#: What a seed of a row recorded, and the seeds of a row.
Run = dict[str, Any]
Runs = list[Run]
#: What is compared with another row, and how.
COMPARED: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "loss": ("error", sub),
    "ratio": ("perplexity", truediv),
}


@dataclass(frozen=True)
class Limit:
    """A bound on one of the numbers of a fit, on the mean over the seeds.

    Parameters
    ----------
    name : str
        Key of the number in a run, such as "error" (in per cent), "flops" or "units" (shares
        left); or "loss", the points of error above the row that it is compared with, and "ratio",
        the perplexity over that row's.
    value : float or tuple of float
        The bound; one for each of the first widths where a run has a list.
    is_least : bool, default=False
        Whether the number must be at least the bound, not at most.
    """

    name: str
    value: float | tuple[float, ...]
    is_least: bool = False

    def holds(self, runs: Runs) -> bool:
        """Whether the mean, rounded as the tables show it, is within the bound."""
        bounds = self.value if isinstance(self.value, tuple) else (self.value,)
        found = [run[self.name] for run in runs]
        columns = zip(*found, strict=True) if isinstance(self.value, tuple) else [found]
        sign = -1 if self.is_least else 1
        # a run may have more widths than are bounded
        pairs = zip(columns, bounds, strict=False)
        return all(sign * round(mean(column), 3) <= sign * bound for column, bound in pairs)

    def __str__(self) -> str:
        bounds = self.value if isinstance(self.value, tuple) else (self.value,)
        sign = ">=" if self.is_least else "<="
        return f"{self.name} {sign} {'-'.join(f'{bound:g}' for bound in bounds)}"


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
    compacts : bool, default=False
        Whether the network is compacted and its units, FLOPs and speed are recorded.
    widths : callable, default=None
        Takes the compacted network and returns its widths.
    base : str, default=None
        Name of the row whose fitted network this one starts from; of its first seed.
    shrink : callable, default=None
        Takes the network of `base` and rows of features, and returns a smaller one to start from.
    dense : callable, default=None
        Makes the dense network that sizes and times are compared with; None for the one that the
        estimator starts from.
    against : str, default=None
        Name of the row that "loss" and "ratio" compare with.
    """

    make: Callable[[int], Any]
    limits: tuple[Limit, ...] = ()
    data: str = "mnist"
    note: str = ""
    n_seeds: int = 3
    compacts: bool = False
    widths: Callable[[nn.Module], Sequence[int]] | None = None
    base: str | None = None
    shrink: Callable[[nn.Module, Tensor], nn.Module] | None = None
    dense: Callable[[], nn.Module] | None = None
    against: str | None = None

    def must(self) -> str:
        """What the row must reach, in words."""
        return "; ".join([*map(str, self.limits), *([self.note] if self.note else [])])

    def verdict(self, runs: Runs, others: Runs) -> str:
        """Whether it does, beside the runs of the row that it is compared with."""
        if not self.limits:
            return "to compare"
        if self.against is not None:
            if not others:
                return f"open: {self.against!r} was not run"
            runs = [run | self._compared(run, others) for run in runs]
        missed = [limit.name for limit in self.limits if not limit.holds(runs)]
        return f"no: {', '.join(missed)}" if missed else "yes"

    def _compared(self, run: Run, others: Runs) -> Run:
        """The numbers that limits bound and that compare a run with the means of others."""
        asked = {limit.name for limit in self.limits} & set(COMPARED)
        return {
            name: combine(run[key], mean(other[key] for other in others))
            for name, (key, combine) in COMPARED.items()
            if name in asked
        }
