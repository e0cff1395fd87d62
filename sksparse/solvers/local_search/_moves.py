"""Best subset over a working set whose correlations are at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers.local_search._tuning import TUNING
from sksparse.solvers.subset._correlations import JITTER
from sksparse.solvers.subset._factorised_support import COLLINEAR, NOISE, Support
from sksparse.solvers.subset._subproblem import Subproblem


@dataclass(frozen=True)
class MoveProblem:
    """``min 1 - 2 c^T u + u^T H u + sum_{u_j != 0} penalties_j`` subject to ``||u||_0 <= limit``.

    Parameters
    ----------
    gram : ndarray
        Its first m rows and columns are H, correlations of the working set; C-contiguous.
    target : ndarray of shape (m,)
        c, its correlations with the target.
    penalties : ndarray of shape (m,)
        What a feature costs, in units of the null model's loss.
    saved : ndarray of shape (m,)
        What leaving it out saves: its penalty, or minus infinity where it is always kept.
    limit : int
        Largest number of features in the support, those that are always kept included.
    threshold : float
        Smallest gain worth a move, relative to the loss that is left.
    """

    gram: Array
    target: Array
    penalties: Array
    saved: Array
    limit: int
    threshold: float

    def support(self, columns: Indices, floor: float = 0.5 * JITTER) -> Support:
        """Factorise a support given as positions in the working set."""
        among = self.gram[np.ix_(columns, columns)]
        return Support.of(columns, among, self.target[columns], floor)

    def independent(self, columns: Indices) -> Indices:
        """The given columns without those that are collinear with others."""
        return self.support(columns, COLLINEAR).columns

    def objective(self, support: Support) -> float:
        """Objective, relative to the null model's loss; infinite where there are too many."""
        if len(support.columns) > self.limit:
            return np.inf
        return 1.0 - support.explained + float(self.penalties[support.columns].sum())

    def without_penalties(self, limit: int) -> MoveProblem:
        """The same problem without penalties, for so many features."""
        saved = np.where(np.isneginf(self.saved), self.saved, 0.0)
        return replace(self, penalties=np.zeros_like(self.penalties), saved=saved, limit=limit)

    def search(self, start: Indices, *, swaps: bool = True) -> Support:
        """Move from a support until a fresh factorisation admits no improving move."""
        best = self.support(start)
        while True:
            check()
            search = LocalSearch(self, best, max(self.limit, len(best.columns)))
            if not search.improve(swaps):
                return best
            trial = self.support(search.columns)
            within = len(best.columns) <= self.limit
            if within and not self.objective(trial) < self.objective(best):
                return best
            best = trial

    def coordinate_descent(self, coef: Array) -> Indices:
        """Support of a coordinate-wise minimum near ``coef``."""
        m, none = len(coef), np.zeros(len(coef))
        penalties = np.where(np.isneginf(self.saved), 0.0, self.penalties)
        gram = np.ascontiguousarray(self.gram[:m, :m])
        inner = Subproblem(gram, self.target, penalties, none, none.astype(bool))
        sweeps = TUNING.max_sweeps
        return np.flatnonzero(inner.sweep(coef, TUNING.sweep_tol, sweeps, sweeps))


class LocalSearch:
    """A support that moves, with the tableau from which the gain of every move is read.

    Parameters
    ----------
    problem : MoveProblem
        What is minimised.
    support : Support
        Where to begin.
    capacity : int
        Largest number of features that the support may come to have.
    """

    def __init__(self, problem: MoveProblem, support: Support, capacity: int) -> None:
        from sksparse._kernels.subset_moves import Limits, Objective

        self._limit, self._k = problem.limit, len(support.columns)
        self._objective = Objective(problem.gram, problem.target, problem.penalties, problem.saved)
        self._limits = Limits(COLLINEAR, problem.threshold, NOISE, TUNING.max_moves)
        capacity = min(max(capacity, self._k), len(problem.target))
        self._table = _tableau(problem, support, capacity)

    @property
    def columns(self) -> Indices:
        """The support, as positions in the working set."""
        return np.asarray(self._table.support[: self._k].copy())

    @property
    def coef(self) -> Array:
        """Its coefficients, in units of unit-length columns and target."""
        return np.asarray(self._table.coef[: self._k].copy())

    def improve(self, swaps: bool = True, limit: int | None = None) -> bool:
        """Make improving moves, at most so many that rounding stays harmless; whether any was."""
        from sksparse._kernels.subset_moves import local_search

        limit = self._limit if limit is None else limit
        arguments = (self._objective, self._table, self._k, limit, swaps, self._limits)
        self._k, moves = local_search(*arguments)
        return bool(moves)

    def exhaust(self, swaps: bool = True, limit: int | None = None) -> bool:
        """Make improving moves until none is left; whether any was made."""
        moved = self.improve(swaps, limit)
        for _ in range(TUNING.max_rounds if moved else 0):
            check()
            if not self.improve(swaps, limit):
                break
        return moved

    def sweep(self, last: int, values: Array, supports: Any) -> int:
        """Go to ``last`` features through all numbers between; for how many the best improved.

        ``values`` and ``supports`` are the best known of each number, and are kept so. The problem
        has no penalties.
        """
        from sksparse._kernels.subset_moves import sweep

        best = (values, supports)
        self._k, improved = sweep(self._objective, self._table, self._k, last, *best, self._limits)
        return int(improved)

    def perturb(self, draws: Array) -> bool:
        """Try random exchanges of as many features; whether one improved.

        The problem has no penalties.
        """
        from sksparse._kernels.subset_moves import perturb

        undo = type(self._table)(*(np.empty_like(part) for part in self._table))
        tables = (self._table, undo, self._k)
        return bool(perturb(self._objective, *tables, draws, self._limits))


def _tableau(problem: MoveProblem, support: Support, capacity: int) -> Any:
    from sksparse._kernels.subset_moves import Tableau

    k, m = len(support.columns), len(problem.target)
    table = Tableau(
        support=np.empty(capacity, dtype=np.intp),
        inverse=np.empty((capacity, capacity)),
        projections=np.empty((capacity, m)),
        coef=np.empty(capacity),
        schur=np.diag(problem.gram)[:m].copy(),
        descent=problem.target.copy(),
    )
    if k:
        at = support.columns
        projections, schur, descent = support.given(problem.gram[at, :m], problem.target)
        projections[:, at], schur[at], descent[at] = 0.0, 0.0, 0.0
        projections[np.arange(k), at] = 1.0
        table.support[:k], table.coef[:k] = at, support.coef
        table.inverse[:k, :k], table.projections[:k] = support.inverse, projections
        table.schur[:], table.descent[:] = schur, descent
    return table
