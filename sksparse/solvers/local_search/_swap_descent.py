"""Best subset by exact add, drop and swap moves.

Hazimeh and Mazumder (Operations Research, 2020) pair coordinate descent with swaps; here every
move is judged by its exact refit. Moves are searched in a working set of columns; a pass over all
columns then gives what the best add, drop and swap with any of them would gain, and adds those that
gain.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.local_search._cardinality_search import CardinalitySearch, Effort
from sksparse.solvers.local_search._moves import MoveProblem
from sksparse.solvers.local_search._starting_supports import (
    forward_starts,
    local_optima,
    long_starts,
)
from sksparse.solvers.local_search._tuning import TUNING
from sksparse.solvers.local_search._working_set import WorkingSet
from sksparse.solvers.subset._checks import largest_rank, require_least_squares
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support, relative_gain
from sksparse.solvers.subset._forward import ForwardSelection


@dataclass
class SubsetIterate(Iterate):
    """A support, and what the last certificate was made of.

    Parameters
    ----------
    data : Correlations
        The problem in scale-free form, in which the null model loses 1.
    penalties, saved : ndarray of shape (n_features,)
        What a feature costs, and what leaving it out saves, in units of the null model's loss.
    kept : ndarray
        Independent features that are always in the support.
    limit, rank : int
        Largest number of features that is asked for and that there can be, those included.
    threshold : float
        Smallest gain of an accepted move in the working set, relative to the loss that is left.
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
    penalties: Array = field(kw_only=True)
    saved: Array = field(kw_only=True)
    kept: Indices = field(kw_only=True)
    limit: int = field(kw_only=True)
    rank: int = field(kw_only=True)
    threshold: float = field(kw_only=True)
    working: WorkingSet = field(kw_only=True)
    support: Indices = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    explored: bool = False
    gains: Array = field(default_factory=lambda: np.empty(0))

    def move_problem(self) -> MoveProblem:
        """The problem over the working set."""
        working, limits = self.working, (self.limit, self.threshold)
        penalties, saved = self.penalties[working.features], self.saved[working.features]
        return MoveProblem(working.gram, working.target, penalties, saved, *limits)


class SubsetDescent(IterativeSolver[SubsetIterate]):
    """Minimise a squared loss plus an :class:`L0` penalty without ``l1`` and ``positive``.

    Parameters
    ----------
    effort : int, default=1
        How much is searched before the answer is checked against all columns; with 0 single moves
        from a forward selection, among its features and those that gain.
    data : Correlations or None, default=None
        What is known of the data, to share between problems that differ in ``alpha`` or
        ``max_features`` only.
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
        data = self.data
        if data is None or not data.matches(problem, penalty.l2):
            data = Correlations(problem, penalty.l2)
        kept = _independent(data, np.flatnonzero(penalty.free(p) & np.isfinite(data.lengths)))
        rank = p if penalty.l2 > 0.0 else min(p, largest_rank(problem))
        most = penalty.max_features
        limit = rank if most is None else min(rank, most + len(kept))
        coef = np.zeros(p) if coef is None else coef
        penalties = penalty.strength(problem.alpha) / data.null_loss * penalty.factors(p)
        saved = penalties.copy()
        saved[kept] = -np.inf
        working = WorkingSet(data)
        working.extend(kept)
        return SubsetIterate(
            coef=coef,
            intercept=data.intercept(coef),
            data=data,
            penalties=penalties,
            saved=saved,
            kept=kept,
            limit=max(limit, len(kept)),
            rank=max(rank, len(kept)),
            threshold=float(np.clip(0.1 * self.tol, 1e-12, 1e-9)),
            working=working,
        )

    def certify(self, problem: Problem, state: SubsetIterate) -> Certificate:
        name = "largest relative gain of a single add, drop or swap"
        if not state.explored and state.data.usable.size:
            # No move has been tried: the start alone has no certificate.
            return Certificate(name, np.inf)
        data, features = state.data, state.support
        support = Support.among(features, data)
        state.gains = _column_gains(state, support)
        drops = state.saved[support.columns] - support.importances
        worst = float(max(state.gains.max(initial=0.0), drops.max(initial=0.0)))
        objective = 1.0 - support.explained + float(state.penalties[support.columns].sum())
        return Certificate(name, relative_gain(worst, objective))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: SubsetIterate) -> None:
        first, state.explored = not state.explored, True
        if first:
            found = self._explore(problem, state)
        else:
            state.working.extend(state.working.outside(state.gains, TUNING.most_new))
            found = state.move_problem().search(state.working.positions(state.support))
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
            columns = forward_starts(state)
            inner = state.move_problem()
            found = [inner.support(one) for one in columns]
        else:
            starts, settled = self._starts(problem, state)
            if not settled:
                starts += long_starts(state.move_problem, working, np.abs(state.data.target))
            inner = state.move_problem()
            if penalised and not settled:
                starts.append(inner.coordinate_descent(np.zeros(len(inner.target))))
            found = local_optima(inner, starts, working.positions(state.kept))
        found += self._from_known(state, penalised)
        return min(found, key=state.move_problem().objective)

    def _from_known(self, state: SubsetIterate, penalised: bool) -> list[Support]:
        """Ends of descents from the coefficients of a previous solution."""
        working, data = state.working, state.data
        known = np.flatnonzero((state.coef != 0.0) & np.isfinite(data.lengths))
        if not known.size:
            return []
        working.extend(known)
        inner, coef = state.move_problem(), state.coef[working.features]
        coef *= data.lengths[working.features] / data.target_length
        starts = [inner.coordinate_descent(coef)] if penalised else []
        starts.append(np.flatnonzero(coef))
        return local_optima(inner, starts, working.positions(state.kept))

    def _has_samples(self, problem: Problem, state: SubsetIterate) -> bool:
        """Whether there are so many samples that forward selection is a good start."""
        wanted = state.limit - len(state.kept)
        if (
            self.effort != 1
            or problem.penalty_as(L0).max_features is None
            or wanted > TUNING.longest
        ):
            return False
        needed = TUNING.samples_per_feature * wanted
        return needed <= len(problem.loss.weights) and problem.distinct(needed) == needed

    def _starts(self, problem: Problem, state: SubsetIterate) -> tuple[list[Indices], bool]:
        """Starting supports, and whether longer supports than these are excluded."""
        if self.effort == 0:
            return [self._forward(problem, state)], True
        start, settled = self._best_cardinality(problem, state)
        starts = [start]
        limited = problem.penalty_as(L0).max_features is not None
        if limited and state.limit - len(state.kept) <= TUNING.longest:
            starts.append(self._forward(problem, state))
        return starts, settled

    def _forward(self, problem: Problem, state: SubsetIterate) -> Indices:
        """Forward selection among all features."""
        forward = ForwardSelection(tol=self.tol, max_iter=state.limit + 1)
        features = np.flatnonzero(forward.solve(problem).coef)
        state.working.extend(features)
        return state.working.positions(features)

    def _best_cardinality(self, problem: Problem, state: SubsetIterate) -> tuple[Indices, bool]:
        """The best support of all cardinalities, and whether longer ones are excluded."""
        search, n_kept = self.cardinality_search(state), len(state.kept)
        longest = n_kept + TUNING.longest
        if problem.penalty_as(L0).max_features is not None:
            search.reach(min(state.limit, longest))
            known = min(state.limit, search.cardinalities[-1])
            return search.support(known), state.limit <= longest
        best, tried = n_kept, -1
        # Without a penalty all features are selected.
        while state.penalties.any() and tried < search.end <= longest:
            tried = search.end
            search.reach(tried + 1)
            best = max(search.cardinalities, key=lambda k: _net_explained(state, search, k))
            if 2 * (best - n_kept) <= search.end - n_kept:
                return search.support(best), True
        return search.support(best), False

    def cardinality_search(self, state: SubsetIterate) -> CardinalitySearch:
        """Supports of each cardinality, whichever is asked for, none of them searched yet."""
        limits = (state.rank, state.threshold, Effort.of(self.effort))
        return CardinalitySearch(state.data, state.working, state.kept, *limits)


def _net_explained(state: SubsetIterate, search: CardinalitySearch, k: int) -> float:
    """What the best support of k features explains, less their penalties."""
    features = state.working.features[search.support(k)]
    return search.explained(k) - float(state.penalties[features].sum())


def _independent(data: Correlations, features: Indices) -> Indices:
    """The given features without those that are collinear with others."""
    support = Support.among(features, data, COLLINEAR)
    return np.sort(support.columns)


def _column_gains(state: SubsetIterate, support: Support) -> Array:
    """Best gain that each column outside the support can bring."""
    from sksparse._kernels.subset_moves import add_gains, swap_gains

    data, can_add = state.data, len(support.columns) < state.limit
    gains = np.full(data.design.n_features, -np.inf)
    drops = state.saved[support.columns] - support.importances
    inside = (support.coef[None], np.diag(support.inverse).copy(), drops)
    for block, cross in data.with_all(support.columns):
        projections, schur, descent = support.given(cross, data.target[block])
        outside = (schur, descent[None], COLLINEAR, None)
        if can_add:
            add_gains(*outside, gains[block])
        swap_gains(projections, *inside, *outside, gains[block], None)
    gains -= state.penalties
    gains[support.columns] = -np.inf
    return gains
