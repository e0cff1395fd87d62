"""Best subset with a certificate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from sksparse._interrupts import worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import Solver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import BoundedSolution, Certificate, Solution, Status
from sksparse.solvers.branch_and_bound._best_first import (
    Branching,
    Budget,
    Incumbent,
    Outcome,
    best_first,
)
from sksparse.solvers.branch_and_bound._diagonal import diagonal_share
from sksparse.solvers.branch_and_bound._leaps_and_bounds import Leaps
from sksparse.solvers.branch_and_bound._perspective import Perspective
from sksparse.solvers.branch_and_bound._tuning import TUNING
from sksparse.solvers.local_search._swap_descent import SubsetDescent
from sksparse.solvers.subset._checks import require_least_squares
from sksparse.solvers.subset._correlations import Correlations
from sksparse.solvers.subset._factorised_support import COLLINEAR, Support


class BranchAndBound(Solver):
    """Minimise half a squared error plus an :class:`L0` penalty, and prove it.

    The penalty has no ``l1``, ``positive`` and ``scaled_l2``.

    Parameters
    ----------
    gap : float, default=0.01
        The search ends when no subset can have an objective lower than ``1 - gap`` times that of
        the answer, up to 3e-9 of the null model's loss, or to 3e-5 of the objective where that is
        less. With 0 the answer is a global optimum, up to that.
    time_limit : float or None, default=None
        Seconds after which the best answer so far is returned, with the gap that is left.
    max_nodes : int or None, default=None
        Number of nodes after which the same happens.
    big_m : float or None, default=None
        Look only at coefficients of at most this multiple of the largest one of the best answer,
        each times the standard deviation of its feature. The search starts afresh where a better
        answer has larger ones. The lower bound then holds for such coefficients only. With None
        it holds for all.
    tol, max_iter : float and int
        For the descent that finds a first answer.
    verbose : int, default=0
        1 writes its stages, and at most a line a second about the nodes; 2 writes each node.

    Notes
    -----
    Few columns (up to 150) may be searched by leaps and bounds with exact refits; others by branch
    and bound on the perspective relaxation, which draws its strength from ``l2``, from how far up
    to 600 columns are from linearly dependent, and from ``big_m``. Without any of these, dependent
    columns are only searched while there are up to 150; beyond, the answer is that of the descent,
    the lower bound is zero, and the gap says so.

    Subsets in which a column is a linear combination of others, up to 1e-8 of its variance, are
    not counted: a smaller subset fits as well.

    References
    ----------
    .. [1] H. Hazimeh, R. Mazumder and A. Saab (2022). "Sparse regression at scale: branch-and-bound
       rooted in first-order optimization". Mathematical Programming 196, 347-388.
    .. [2] G. M. Furnival and R. W. Wilson (1974). "Regressions by leaps and bounds".
       Technometrics 16, 499-511.
    """

    def __init__(
        self,
        *,
        gap: float = 0.01,
        time_limit: float | None = None,
        max_nodes: int | None = None,
        big_m: float | None = None,
        tol: float = 1e-8,
        max_iter: int = 100,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.gap, self.big_m = gap, big_m
        self.time_limit, self.max_nodes = time_limit, max_nodes

    def check(self, problem: Problem) -> None:
        require_least_squares(problem, "exact")

    def solve(self, problem: Problem, coef: Array | None = None) -> BoundedSolution:
        """Search until the gap is closed or the budget ends.

        An interruption from the keyboard ends the search with the best answer so far.
        """
        self.check(problem)
        started = perf_counter()
        progress = Progress(
            type(self).__name__, "node", verbose=self.verbose, time_limit=self.time_limit
        )
        progress.say("bounds of the correlations, and a local search for a first answer")
        data = Correlations(problem, problem.penalty_as(L0).l2)
        subsets = _subsets(problem, data)
        first = _descent(self, problem, coef)
        best = Incumbent(*subsets.nearest(np.zeros_like(first.coef)), self.gap)
        best.offer(*subsets.nearest(first.coef))
        best.total = subsets.total(best.support)
        progress.say(f"{len(best.support)} features, objective {best.value:.6g} (null model: 1)")
        budget = Budget(
            deadline=np.inf if self.time_limit is None else started + self.time_limit,
            max_nodes=np.inf if self.max_nodes is None else self.max_nodes,
            progress=progress,
        )
        if first.status is Status.INTERRUPTED:
            outcome = Outcome(Status.INTERRUPTED, 0.0, 0)
        elif not subsets.others.size or _is_exhausted(subsets, first):
            outcome = Outcome(Status.CONVERGED, best.value, 0)
        else:
            outcome = self._search(subsets, best, budget)
        return self._solution(problem, data, best, outcome)

    def _search(self, subsets: Subsets, best: Incumbent, budget: Budget) -> Outcome:
        n_nodes = 0
        while True:
            largest = np.inf if self.big_m is None else self.big_m * subsets.largest(best.support)
            outcome = _search_within(largest, subsets, best, budget)
            n_nodes += outcome.n_nodes
            within = self.big_m is None or self.big_m * subsets.largest(best.support) <= largest
            if within or outcome.status is not Status.CONVERGED:
                return replace(outcome, n_nodes=n_nodes)

    def _solution(
        self, problem: Problem, data: Correlations, best: Incumbent, outcome: Outcome
    ) -> BoundedSolution:
        support = np.sort(best.support)
        coef = np.zeros(problem.design.n_features)
        coef[support] = data.refit(support)
        # Centred and in float64: the objective must be as exact as the bound.
        z = data.columns(support).matvec(coef[support]) + problem.null_intercept
        objective = problem.objective(coef, z)
        null = problem.loss.value(np.full(len(z), problem.null_intercept))
        bound = data.null_loss * outcome.bound
        if abs(null - data.null_loss) > TUNING.null_loss_error * null:
            # a constant target, whose unit is not its length
            bound = max(null + bound - data.null_loss, 0.0)
        bound = min(bound, objective)
        # A difference within rounding of the null model's loss is no gap.
        slack = 3.0 * best.rounding * data.null_loss
        unit = max(objective, slack)
        gap = (objective - bound) / unit
        closed = objective - bound <= self.gap * unit + min(slack, TUNING.gap_beyond * unit)
        status = Status.STALLED if outcome.status is Status.CONVERGED else outcome.status
        return BoundedSolution(
            coef=coef,
            intercept=data.intercept(coef),
            status=Status.CONVERGED if closed else status,
            certificate=Certificate(
                "relative gap" if self.big_m is None else "relative gap within big_m", gap
            ),
            gap=objective - bound,
            n_iter=max(outcome.n_nodes, 1),
            message="" if closed else _message(status, objective, bound, gap, self),
            objective=objective,
            lower_bound=bound,
            n_nodes=outcome.n_nodes,
        )


def _search_within(largest: float, subsets: Subsets, best: Incumbent, budget: Budget) -> Outcome:
    """Search among coefficients of at most ``largest``, for columns and a target of unit length."""
    outcome = Outcome(Status.STALLED, 0.0, 0)
    try:
        searches = _branchings(subsets, best, largest)
    except KeyboardInterrupt:
        if not worth_keeping():
            raise
        return replace(outcome, status=Status.INTERRUPTED)
    for branching in searches:
        best.cut = np.inf
        found = best_first(branching, best, budget)
        n_nodes, bound = outcome.n_nodes + found.n_nodes, max(outcome.bound, found.bound)
        outcome = Outcome(found.status, bound, n_nodes)
        if found.status is not Status.CONVERGED or bound >= best.cutoff - best.rounding:
            return outcome
        # Rounding hides what is left to this search.
        outcome = replace(outcome, status=Status.STALLED)
    return outcome


@dataclass(frozen=True)
class Subsets:
    """The features to choose from, and the problem in scale-free form.

    Parameters
    ----------
    data : Correlations
        The problem.
    penalties : ndarray of shape (n_features,)
        Penalty of each feature, in units of the null model's loss; zero under a limit.
    kept : ndarray
        Independent features that are always kept.
    others : ndarray
        Features to choose from.
    limit : int or None
        How many of these there may be.
    """

    data: Correlations
    penalties: Array
    kept: Indices
    others: Indices
    limit: int | None

    def nearest(self, coef: Array) -> tuple[float, Indices]:
        """Objective and features of the subset of the largest coefficients."""
        size = np.abs(coef[self.others] * self.data.lengths[self.others])
        order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
        chosen = np.concatenate((self.kept, self.others[order[: self.limit]]))
        support = Support.among(chosen, self.data, COLLINEAR)
        value = 1.0 - support.explained + float(self.penalties[support.columns].sum())
        return value, support.columns

    def total(self, support: Indices) -> float:
        """Sum of the absolute coefficients of a subset."""
        return float(np.abs(Support.among(support, self.data).coef).sum())

    def largest(self, support: Indices) -> float:
        """Largest coefficient of a subset, or of the best single column if it is smaller."""
        data = self.data
        coef = Support.among(support, data).coef
        return float(max(np.abs(coef).max(initial=0.0), np.abs(data.target).max()))


def _subsets(problem: Problem, data: Correlations) -> Subsets:
    penalty, p = problem.penalty_as(L0), problem.design.n_features
    free, max_features = penalty.free(p), penalty.max_features
    kept = data.usable[free[data.usable]]
    kept = Support.among(kept, data, COLLINEAR).columns
    others = data.usable[~free[data.usable]]
    alpha = penalty.strength(problem.alpha) / data.null_loss
    limit = None if max_features is None else min(max_features, len(others))
    return Subsets(data, alpha * penalty.factors(p), kept, others, limit)


def _is_exhausted(subsets: Subsets, first: Solution) -> bool:
    """Whether single swaps reach all subsets: with at most one feature to choose they do."""
    return subsets.limit == 0 or (subsets.limit == 1 and first.status is Status.CONVERGED)


def _descent(solver: BranchAndBound, problem: Problem, coef: Array | None) -> Solution:
    """An answer of the local search, to start from."""
    descent = SubsetDescent(
        tol=solver.tol,
        max_iter=solver.max_iter,
        verbose=solver.verbose,
    )
    return descent.solve(problem, coef)


def _branchings(subsets: Subsets, best: Incumbent, largest: float) -> list[Branching]:
    """The searches that have a lower bound, the tightest at the root first."""
    data, features = subsets.data, np.concatenate((subsets.kept, subsets.others))
    # A little less than the ridge, so that rounding cannot make a difference indefinite.
    shares, leaps = (1.0 - TUNING.ridge_margin) * data.l2 / data.lengths**2, None
    if len(features) <= TUNING.max_factorised:
        gram = data.among(features)
        np.fill_diagonal(gram, 1.0)
        shares[features] = diagonal_share(gram, shares[features])
        if len(features) <= TUNING.max_refitted:
            leaps = _leaps(subsets, features, gram)
    if not (np.all(shares[features] > 0) or np.isfinite(largest)):
        return [] if leaps is None else [leaps]
    shares[np.isinf(data.lengths)] = 1.0
    limit = (subsets.kept, subsets.limit)
    relaxed = Perspective(data, shares, subsets.penalties, *limit, best.support, largest)
    if leaps is None:
        return [relaxed]
    left = best.value - relaxed.root_bound(best)
    left_by_leaps = best.value - leaps.root_bound()
    return [relaxed, leaps] if left < TUNING.relaxation_gap_share * left_by_leaps else [leaps]


def _leaps(subsets: Subsets, features: Indices, gram: Array) -> Leaps:
    kept = np.isin(features, subsets.kept)
    data = (gram, subsets.data.target[features], subsets.penalties[features])
    return Leaps(features, *data, kept, _cardinalities(subsets, gram))


def _cardinalities(subsets: Subsets, gram: Array) -> range:
    """Numbers of features to choose, of which larger ones have no independent subsets."""
    independent = Support.of(np.arange(len(gram)), gram, np.zeros(len(gram)), COLLINEAR)
    largest = len(independent.columns) - len(subsets.kept)
    if subsets.limit is None:
        return range(largest + 1)
    size = min(subsets.limit, largest)
    return range(size, size + 1)


def _message(
    status: Status, objective: float, bound: float, gap: float, solver: BranchAndBound
) -> str:
    remedy = {
        Status.TIME_LIMIT: f"increase time_limit={solver.time_limit}",
        Status.MAX_ITER: f"increase max_nodes={solver.max_nodes}",
        Status.INTERRUPTED: "fit again and wait longer",
        Status.STALLED: "give a positive or larger l2, from which bounds draw their strength, "
        "assume that coefficients are bounded (big_m), or fit an intercept",
    }[status]
    reason = "no tighter bound is known" if status is Status.STALLED else status.value
    return (
        f"The search stopped before its certificate ({reason}): the objective is "
        f"{objective:.6g} and no subset is below {bound:.6g}, a relative gap of {gap:.3g}, above "
        f"gap={solver.gap:g}. Remedy: {remedy}, or increase gap."
    )
