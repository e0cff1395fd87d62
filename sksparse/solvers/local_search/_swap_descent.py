"""Best subset by exact add, drop and swap moves.

Hazimeh and Mazumder (Operations Research, 2020) pair coordinate descent with swaps; here every
move is judged by its exact refit. Moves are searched in a working set of columns; a pass over all
columns then says what the best add, drop and swap with any of them would gain, and brings in
those that gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.local_search._all_sizes import LONGEST, Effort, SizeSearch
from sksparse.solvers.local_search._starting_supports import ends, grown, longer
from sksparse.solvers.local_search._subproblem import Subproblem
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._checks import largest_rank, require_least_squares
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support, relative_gain
from sksparse.solvers.subset._forward import ForwardSelection

# With so many samples for each feature forward selection is a good start for a size; with fewer the
# landscape is rugged, and sizes that improve each other are a better one.
_SAMPLES_PER_FEATURE = 20
# Columns that join the working set at once when a pass over all says that they gain.
_MOST_NEW = 60


@dataclass
class SubsetIterate(Iterate):
    """A support, and what the last certificate was made of.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form, in which the null model loses 1.
    price, refund : ndarray of shape (n_features,)
        What a feature costs and what is won by leaving it out, in units of the null model's loss.
    kept : ndarray
        Independent features that are always in the support.
    limit, rank : int
        Largest number of features that is asked for and that there can be, those included.
    threshold : float
        Smallest gain worth a move within the working set, relative to the loss that is left.
    working : WorkingSet
        The columns among which is searched.
    support : ndarray
        Features of the model.
    explored : bool, default=False
        Whether the first step was made.
    gains : ndarray of shape (n_features,)
        Relative gain of the best add of each column, or swap for it.
    """

    data: Correlations = field(kw_only=True)
    price: Array = field(kw_only=True)
    refund: Array = field(kw_only=True)
    kept: Indices = field(kw_only=True)
    limit: int = field(kw_only=True)
    rank: int = field(kw_only=True)
    threshold: float = field(kw_only=True)
    working: WorkingSet = field(kw_only=True)
    support: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    explored: bool = False
    gains: Array = field(default_factory=lambda: np.empty(0))

    def subproblem(self) -> Subproblem:
        """The problem over the working set."""
        working, limits = self.working, (self.limit, self.threshold)
        price, refund = self.price[working.features], self.refund[working.features]
        return Subproblem(working.gram, working.target, price, refund, *limits)


class SubsetDescent(IterativeSolver[SubsetIterate]):
    """Minimise a squared loss plus an :class:`L0` penalty without ``l1`` and ``positive``.

    Parameters
    ----------
    effort : int, default=1
        How much is searched before the answer is checked against all columns; with 0 single moves
        from a forward selection, among its features and those that gain.
    data : Correlations or None, default=None
        What is known of the data, to share between problems that differ in price or size only.
    tol, max_iter, verbose
        As in :class:`Solver`.
    """

    def __init__(
        self,
        *,
        effort: int = 1,
        data: Correlations | None = None,
        tol: float,
        max_iter: int,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.effort = effort
        self.data = data

    def check(self, problem: Problem) -> None:
        require_least_squares(problem, "swap")

    def start(self, problem: Problem, coef: Array | None) -> SubsetIterate:
        penalty, p = problem.penalty_as(L0), problem.design.n_features
        data = self.data or Correlations(problem, penalty.l2)
        kept = _independent(data, np.flatnonzero(penalty.free(p) & np.isfinite(data.lengths)))
        rank = p if penalty.l2 > 0.0 else min(p, largest_rank(problem))
        most = penalty.max_features
        limit = rank if most is None else min(rank, most + len(kept))
        coef = np.zeros(p) if coef is None else coef
        price = penalty.strength(problem.alpha) / data.null_loss * penalty.factors(p)
        refund = price.copy()
        refund[kept] = -np.inf
        working = WorkingSet(data)
        working.extend(kept)
        return SubsetIterate(
            coef=coef,
            intercept=data.intercept(coef),
            data=data,
            price=price,
            refund=refund,
            kept=kept,
            limit=max(limit, len(kept)),
            rank=max(rank, len(kept)),
            threshold=float(np.clip(0.1 * self.tol, 1e-12, 1e-9)),
            working=working,
        )

    def certify(self, problem: Problem, state: SubsetIterate) -> Certificate:
        name = "largest relative gain of a single add, drop or swap"
        if not state.explored and state.data.usable.size:
            # Nothing has been tried: no local property of the start would say enough.
            return Certificate(name, np.inf)
        data, features = state.data, state.support
        support = Support.among(features, data)
        state.gains = _column_gains(state, support)
        drops = state.refund[support.columns] - support.importances
        worst = float(max(state.gains.max(initial=0.0), drops.max(initial=0.0)))
        objective = 1.0 - support.explained + float(state.price[support.columns].sum())
        return Certificate(name, relative_gain(worst, objective))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: SubsetIterate) -> None:
        first, state.explored = not state.explored, True
        if first:
            found = self._explore(problem, state)
        else:
            state.working.extend(state.working.outside(state.gains, _MOST_NEW))
            found = state.subproblem().search(state.working.positions(state.support))
        support = np.sort(state.working.features[found.columns])
        state.progress = first or not np.array_equal(support, state.support)
        state.support = support
        state.coef = np.zeros_like(state.coef)
        state.coef[support] = state.data.refit(support)
        state.intercept = state.data.intercept(state.coef)

    def _explore(self, problem: Problem, state: SubsetIterate) -> Support:
        """Best end of several descents."""
        working, penalised = state.working, problem.penalty_as(L0).max_features is None
        if self._has_samples(problem, state):
            columns = grown(state)
            inner = state.subproblem()
            found = [inner.support(one) for one in columns]
        else:
            starts, settled = self._starts(problem, state)
            if not settled:
                starts += longer(state.subproblem, working, np.abs(state.data.target))
            inner = state.subproblem()
            if penalised and not settled:
                starts.append(inner.coordinate_descent(np.zeros(len(inner.target))))
            found = ends(inner, starts, working.positions(state.kept))
        known = np.flatnonzero((state.coef != 0.0) & np.isfinite(state.data.lengths))
        if known.size:
            working.extend(known)
            inner, coef = state.subproblem(), state.coef[working.features]
            coef *= state.data.lengths[working.features] / state.data.target_length
            starts = [inner.coordinate_descent(coef)] if penalised else []
            starts.append(np.flatnonzero(coef))
            found += ends(inner, starts, working.positions(state.kept))
        return min(found, key=inner.objective)

    def _has_samples(self, problem: Problem, state: SubsetIterate) -> bool:
        """Whether a size has so many samples that forward selection is a good start."""
        wanted = state.limit - len(state.kept)
        if self.effort != 1 or problem.penalty_as(L0).max_features is None or wanted > LONGEST:
            return False
        needed = _SAMPLES_PER_FEATURE * wanted
        return needed <= len(problem.loss.weights) and problem.distinct(needed) == needed

    def _starts(self, problem: Problem, state: SubsetIterate) -> tuple[list[Indices], bool]:
        """Where to begin, and whether no longer supports are in question."""
        if self.effort == 0:
            return [self._forward(problem, state)], True
        start, settled = self._best_size(problem, state)
        starts = [start]
        sized = problem.penalty_as(L0).max_features is not None
        if sized and state.limit - len(state.kept) <= LONGEST:
            starts.append(self._forward(problem, state))
        return starts, settled

    def _forward(self, problem: Problem, state: SubsetIterate) -> Indices:
        """Forward selection among all features."""
        forward = ForwardSelection(tol=self.tol, max_iter=state.limit + 1)
        features = np.flatnonzero(forward.solve(problem).coef)
        state.working.extend(features)
        return state.working.positions(features)

    def _best_size(self, problem: Problem, state: SubsetIterate) -> tuple[Indices, bool]:
        """The best of the supports found size by size, and whether no longer one is in question."""
        sizes, n_kept = self.sizes(state), len(state.kept)
        if problem.penalty_as(L0).max_features is not None:
            sizes.reach(min(state.limit, n_kept + LONGEST))
            return sizes.support(min(state.limit, sizes.sizes[-1])), state.limit <= n_kept + LONGEST
        best, tried = n_kept, -1
        # Without a penalty all features are selected.
        while state.price.any() and tried < sizes.end <= n_kept + LONGEST:
            tried = sizes.end
            sizes.reach(tried + 1)
            best = max(sizes.sizes, key=lambda size: _worth(state, sizes, size))
            if 2 * (best - n_kept) <= sizes.end - n_kept:
                return sizes.support(best), True
        return sizes.support(best), False

    def sizes(self, state: SubsetIterate) -> SizeSearch:
        """Supports of each size, whichever is asked for, none of them searched yet."""
        limits = (state.rank, state.threshold, Effort.of(self.effort))
        return SizeSearch(state.data, state.working, state.kept, *limits)


def _worth(state: SubsetIterate, sizes: SizeSearch, size: int) -> float:
    """What the best support of a size explains, less its price."""
    features = state.working.features[sizes.support(size)]
    return sizes.explained(size) - float(state.price[features].sum())


def _independent(data: Correlations, features: Indices) -> Indices:
    """The given features without those that are collinear with others."""
    support = Support.among(features, data, COLLINEAR)
    return np.sort(support.columns)


def _column_gains(state: SubsetIterate, support: Support) -> Array:
    """Best gain that each column outside the support can bring."""
    from sksparse._kernels.subset import swap_gains

    data, can_add = state.data, len(support.columns) < state.limit
    gains = np.full(data.design.n_features, -np.inf)
    coef, diagonal = support.coef, np.diag(support.inverse).copy()
    refund = state.refund[support.columns]
    for block, cross in data.with_all(support.columns):
        rows, spare, descent = support.beside(cross, data.target[block])
        part = gains[block]
        if can_add:
            free = spare > COLLINEAR
            part[free] = descent[free] ** 2 / spare[free]
        swap_gains(rows, spare, descent, coef, diagonal, refund, COLLINEAR, part)
    gains -= state.price
    gains[support.columns] = -np.inf
    return gains
