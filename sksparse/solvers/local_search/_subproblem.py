"""Best subset over a working set whose correlations are at hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sksparse._interrupts import check
from sksparse._typing import Array, Indices
from sksparse.solvers.subset._correlations import JITTER
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support

# Moves after which rank-one updates are replaced by a fresh factorisation.
_MOVES = 64
# Rounds of so many moves; more would be rounding that goes in circles.
_ROUNDS = 100
_SWEEPS = 200


@dataclass(frozen=True)
class Subproblem:
    """``min 1 - 2 c^T u + u^T H u + sum_{u_j != 0} price_j`` subject to ``||u||_0 <= limit``.

    Parameters
    ----------
    gram : ndarray
        Its first m rows and columns are H, correlations of the working set; C-contiguous.
    target : ndarray of shape (m,)
        c, its correlations with the target.
    price : ndarray of shape (m,)
        What a feature costs, in units of the null model's loss.
    refund : ndarray of shape (m,)
        What is won by leaving it out: its price, or minus infinity where it is always kept.
    limit : int
        Largest size of the support, features that are always kept included.
    threshold : float
        Smallest gain worth a move, relative to the loss that is left.
    """

    gram: Array
    target: Array
    price: Array
    refund: Array
    limit: int
    threshold: float

    def support(self, columns: Indices, spare: float = 0.5 * JITTER) -> Support:
        """Factorise a support given as positions in the working set."""
        among = self.gram[np.ix_(columns, columns)]
        return Support.of(columns, among, self.target[columns], spare)

    def independent(self, columns: Indices) -> Indices:
        """The given columns without those that are collinear with others."""
        return self.support(columns, COLLINEAR).columns

    def objective(self, support: Support) -> float:
        """Objective, relative to the null model's loss; infinite where there are too many."""
        if len(support.columns) > self.limit:
            return np.inf
        return 1.0 - support.explained + float(self.price[support.columns].sum())

    def free_of_charge(self, limit: int) -> Subproblem:
        """The same problem without prices, for so many features."""
        refund = np.where(np.isneginf(self.refund), self.refund, 0.0)
        return replace(self, price=np.zeros_like(self.price), refund=refund, limit=limit)

    def search(self, start: Indices, *, swaps: bool = True) -> Support:
        """Move from a support until a fresh factorisation admits no improving move."""
        best = self.support(start)
        while True:
            check()
            walk = Walk(self, best, max(self.limit, len(best.columns)))
            if not walk.search(swaps):
                return best
            trial = self.support(walk.columns)
            within = len(best.columns) <= self.limit
            if within and not self.objective(trial) < self.objective(best):
                return best
            best = trial

    def coordinate_descent(self, coef: Array) -> Indices:
        """Support of a coordinate-wise minimum near ``coef``."""
        from sksparse._kernels.penalised_subset import descend

        m, coef = len(coef), coef.copy()
        gram = np.ascontiguousarray(self.gram[:m, :m])
        price = np.where(np.isneginf(self.refund), 0.0, self.price)
        none = np.zeros(m)
        options = (price, none, none.astype(bool), 1e-7, _SWEEPS, _SWEEPS)
        descend(gram, self.target - gram @ coef, coef, *options)
        return np.flatnonzero(coef)


class Walk:
    """A support that moves, with the tableau that says what each move would bring.

    Parameters
    ----------
    inner : Subproblem
        What is minimised.
    support : Support
        Where to begin.
    room : int
        Most features that the support may come to have.
    """

    def __init__(self, inner: Subproblem, support: Support, room: int) -> None:
        self.inner = inner
        self._size = len(support.columns)
        self._table = _tableau(inner, support, min(max(room, self._size), len(inner.target)))

    @property
    def columns(self) -> Indices:
        """The support, as positions in the working set."""
        return np.asarray(self._table.support[: self._size].copy())

    @property
    def coef(self) -> Array:
        """Its coefficients, in units of unit-length columns and target."""
        return np.asarray(self._table.coef[: self._size].copy())

    def search(self, swaps: bool = True, limit: int | None = None) -> bool:
        """Make improving moves, at most so many that rounding stays harmless; whether any was."""
        from sksparse._kernels.subset import local_search

        inner = self.inner
        limit = inner.limit if limit is None else limit
        problem, arguments = (inner.gram, inner.target), (inner.price, inner.refund, limit, swaps)
        self._size, moves = local_search(
            *problem, self._table, self._size, *arguments, *self._limits
        )
        return bool(moves)

    def exhaust(self, swaps: bool = True, limit: int | None = None) -> bool:
        """Make improving moves until none is left; whether any was made."""
        moved = self.search(swaps, limit)
        for _ in range(_ROUNDS if moved else 0):
            check()
            if not self.search(swaps, limit):
                break
        return moved

    def sweep(self, last: int, values: Array, supports: Any) -> int:
        """Walk to a size through all between, without prices; how many sizes improved.

        ``values`` and ``supports`` are the best known of each size, and are kept so.
        """
        from sksparse._kernels.subset import sweep

        inner, best = self.inner, (values, supports)
        refund, limits = inner.refund, self._limits
        args = (inner.gram, inner.target, self._table, self._size, last, refund, *best, *limits)
        self._size, improved = sweep(*args)
        return int(improved)

    def perturb(self, draws: Array) -> bool:
        """Try random exchanges at the present size, without prices; whether one improved."""
        from sksparse._kernels.subset import perturb

        inner, size = self.inner, self._size
        room = type(self._table)(*(np.empty_like(part) for part in self._table))
        tables = (self._table, room, size)
        arguments = (inner.gram, inner.target, *tables, inner.refund, draws, *self._limits)
        return bool(perturb(*arguments))

    @property
    def _limits(self) -> tuple[float, float, int]:
        return COLLINEAR, self.inner.threshold, _MOVES


def _tableau(inner: Subproblem, support: Support, room: int) -> Any:
    from sksparse._kernels.subset import Tableau

    size, m = len(support.columns), len(inner.target)
    table = Tableau(
        support=np.empty(room, dtype=np.intp),
        inverse=np.empty((room, room)),
        rows=np.empty((room, m)),
        coef=np.empty(room),
        spare=np.diag(inner.gram)[:m].copy(),
        descent=inner.target.copy(),
    )
    if size:
        at = support.columns
        rows, spare, descent = support.beside(inner.gram[at, :m], inner.target)
        rows[:, at], spare[at], descent[at] = 0.0, 0.0, 0.0
        rows[np.arange(size), at] = 1.0
        table.support[:size], table.coef[:size] = at, support.coef
        table.inverse[:size, :size], table.rows[:size] = support.inverse, rows
        table.spare[:], table.descent[:] = spare, descent
    return table
