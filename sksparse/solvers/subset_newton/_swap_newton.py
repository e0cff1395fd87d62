"""Best subset for any smooth loss: moves by a quadratic model, verified by refits.

The quadratic model of the loss at the current fit (iteratively reweighted least squares) tells the
gain of every add, drop and swap at once; a descent on it proposes a support, and Newton steps on
that support decide. A pass over all columns then looks for moves with columns that
the working set lacks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from sksparse._fit_tasks import fit_tasks
from sksparse._interrupts import worth_keeping
from sksparse._progress import Progress
from sksparse._typing import Array, Indices
from sksparse.penalties import L0
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate, Solution, Status, cut_short, describe_loss
from sksparse.solvers.subset._checks import require_best_subset
from sksparse.solvers.subset_newton._cardinality_path import CardinalityPath
from sksparse.solvers.subset_newton._certificate import single_change
from sksparse.solvers.subset_newton._entering_columns import best, outside
from sksparse.solvers.subset_newton._local_search import Budget, SubsetSearch
from sksparse.solvers.subset_newton._newton_refit import Fit
from sksparse.solvers.subset_newton._subset_fits import SubsetFits
from sksparse.solvers.subset_newton._tuning import TUNING


@dataclass
class SubsetNewtonIterate(Iterate):
    """A fit, and what the last certificate was made of.

    Parameters
    ----------
    search : SubsetSearch
        Working set, refits and moves.
    fit : Fit
        The current model.
    gains : ndarray of shape (n_features,)
        Gain that the quadratic model predicts for the best add of each column, or swap for it.
    start : ndarray of shape (n_start,)
        Features of a previous solution.
    settled : bool, default=False
        Whether no move within the working set is left.
    tried : bool, default=False
        Whether a step has been made.
    refuted : bool, default=False
        Whether refits have shown the most promising moves over all columns to gain nothing.
    """

    search: SubsetSearch = field(kw_only=True)
    fit: Fit = field(kw_only=True)
    gains: Array = field(kw_only=True)
    start: Indices = field(kw_only=True)
    settled: bool = False
    tried: bool = False
    refuted: bool = False


class SubsetNewton(IterativeSolver[SubsetNewtonIterate]):
    """Minimise any smooth loss plus an :class:`L0` penalty.

    The objective is ``loss(X w + b) + alpha sum_{j: w_j != 0} c_j + l1 ||w||_1
    + l2 / 2 ||w||_2^2``, or the same with at most ``max_features`` features in place of ``alpha``.
    A loss with several outputs has a row of coefficients for each; a feature is used by all or
    none.

    Parameters
    ----------
    tol : float
        Gains below this share of the loss that is left do not count.
    max_iter : int
        Largest number of passes over all columns.
    effort : int, default=1
        Factor on the number of moves that are tried by a refit where the model predicts a gain
        but its first proposals do not lower the objective. Also the number of starts: a forward
        selection, or without ``max_features`` the best of a path if that is better, and forward
        selections up to so many times the number of features. With 0 forward selection and single
        moves with a predicted gain.
    known_path : CardinalityPath or None, default=None
        Fits of increasing cardinality, to share between problems that differ in ``alpha`` only.
    verbose : int, default=0
        As in :class:`Solver`.

    Notes
    -----
    The certificate is the largest gain, relative to the objective, that the quadratic model at the
    answer predicts for a single add, drop or swap over all columns. Once refits have shown the most
    promising ``30 * effort`` of them to gain nothing, it is what a change of one feature's
    coefficients, all others held, still gains for certain. Of the moves within the working set that
    it predicts none for, refits try the closest ``5 * effort``, or with up to 30 features every add
    and drop, and a swap for each; at the end of the first step, all single moves if at most 200
    pairs of a feature in use and another can change places. For a squared loss without ``l1`` and
    ``positive`` the model is exact.

    Where a loss that need not have a minimum has fallen to its negligible share of the null model's
    and no norm is added, it counts as zero and the fit ends.
    """

    def __init__(
        self,
        *,
        tol: float,
        max_iter: int,
        effort: int = 1,
        known_path: CardinalityPath | None = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.effort = effort
        self.known_path = known_path

    def check(self, problem: Problem) -> None:
        require_best_subset(problem)

    def start(self, problem: Problem, coef: Array | None) -> SubsetNewtonIterate:
        search = self._search(problem)
        fits = search.fits
        fit = fits.null_fit()
        gains = search.gains(fit)
        fits.columns.at(_first_columns(search, gains))
        known = np.zeros(problem.design.n_features) if coef is None else coef
        start = np.flatnonzero(np.atleast_2d(known).any(axis=0) & fits.columns.usable)
        coef, intercept = fits.solution(fit)
        return SubsetNewtonIterate(
            coef, intercept, search=search, fit=fit, gains=gains, start=start
        )

    def _search(self, problem: Problem) -> SubsetSearch:
        tol = 0.1 * max(self.tol, problem.precision, 1e-11)
        return SubsetSearch(SubsetFits(problem, tol), Budget.of(problem, self.effort))

    def certify(self, problem: Problem, state: SubsetNewtonIterate) -> Certificate:
        name = "largest relative gain of a single add, drop or swap"
        if not state.tried:
            return Certificate(name, np.inf)
        search, left = state.search, 0.0
        if not state.refuted:
            state.gains = search.gains(state.fit)
            open_gains = state.gains.copy()
            if state.settled:
                open_gains[search.fits.columns.features] = -np.inf
            left = float(open_gains.max(initial=0.0))
        threshold = search.fits.threshold(state.fit)
        if left <= threshold and not search.fits.finished(state.fit):
            # where the model predicts no gain, check the objective itself
            left = single_change(search, state.fit)
            state.progress = left <= threshold
        return Certificate(name, search.relative(left, state.fit))

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: SubsetNewtonIterate) -> None:
        search, found = state.search, list[tuple[Fit, bool]]()
        try:
            if state.tried:
                search.fits.columns.at(outside(search, state.gains, TUNING.most_new))
                found.append(search.improve(state.fit))
                state.refuted = found[0][1] and found[0][0] is state.fit
            else:
                found.extend(search.improve(start) for start in self._starts(problem, state))
                end = min((end for end, _ in found), key=search.objective)
                if search.few_moves(end):
                    state.search = search = search.within(every_move=True)
                    found.append(search.improve(end))
            best, state.settled = min(found, key=lambda end: search.objective(end[0]))
            fit = search.fits.polish(best)
        except KeyboardInterrupt:
            latest = [] if search.latest.fit is None else [search.latest.fit]
            known = [state.fit, *(end for end, _ in found), *latest]
            best = min(known, key=search.objective)
            # before the first step there is only the model without features
            if (best is state.fit and not state.tried) or not worth_keeping():
                raise
            state.settled, state.refuted, state.interrupted = False, False, True
            fit = search.fits.polish(best)
        state.fit, state.tried = fit, True
        state.coef, state.intercept = search.fits.solution(fit)

    def _starts(self, problem: Problem, state: SubsetNewtonIterate) -> Iterator[Fit]:
        search, fits = state.search, state.search.fits
        first, factors = search.grow(state.fit, search.budget.limit), self.effort
        if problem.penalty_as(L0).max_features is None and self.effort:
            # The model of a fit with few features underestimates gains of larger supports: fit a
            # path.
            path = self.known_path or self.cardinality_path(problem)
            best = fits.fit(fits.columns.at(path.best_for(search.cost)), None)
            first = min(first, best, key=search.objective)
            # With a penalty per feature, a further start from a larger support often ends better.
            factors += 1
        yield first
        for factor in range(2, factors + 1):
            yield search.overshoot(first, factor)
        if state.start.size and search.determines(len(state.start)):
            yield fits.fit(fits.columns.at(state.start), None)

    def path(self, problem: Problem, max_features: Sequence[int]) -> list[Solution]:
        """Solutions with at most so many features, for several numbers at once.

        Supports grow from one feature on by forward steps and single swaps that gain at least 3e-4
        of the null loss, or of ten times that of the best single feature where this is less; at 4,
        8, 16, ... features all columns are checked. What is found for a number depends on smaller
        ones alone, all of which are always computed. The problem's own ``max_features`` and
        ``alpha`` are not used.

        Parameters
        ----------
        problem : Problem
            Data and loss.
        max_features : sequence of int
            Numbers of features, at least 1, in any order.

        Returns
        -------
        solutions : list of Solution
            One for each number, those found so far where the path was interrupted from the
            keyboard; their certificate is not computed, and ``n_iter`` is the number.

        Raises
        ------
        ValueError
            When ``max_features`` is empty or holds a number below 1.
        """
        if not len(max_features) or min(max_features) < 1:
            raise ValueError(f"max_features must hold numbers from 1 on; got {list(max_features)}.")
        self.check(problem)
        path = self.known_path or self.cardinality_path(problem)
        fits, found = path.search.fits, dict[int, Solution]()
        last = max(max_features)
        path.admit(last)
        try:
            with (
                Progress(
                    type(self).__name__, "number", max(max_features), verbose=self.verbose
                ) as progress,
                fit_tasks("numbers of features", max(max_features)) as numbers,
            ):
                for k in range(1, last + 1):
                    numbers.begin()
                    fit = path.reach(k)
                    progress.step(describe_loss, k, fit.value / fits.scale)
                    if k in max_features:
                        found[k] = _solution(fits, fits.polish(fit), k)
                    numbers.end()
        except KeyboardInterrupt:
            if not found or not worth_keeping():
                raise
        solutions = [found[int(k)] for k in max_features if int(k) in found]
        complete = len(solutions) == len(max_features)
        return solutions if complete else cut_short(solutions, len(max_features))

    def cardinality_path(self, problem: Problem) -> CardinalityPath:
        """An empty path for a problem."""
        penalty = replace(problem.penalty_as(L0), max_features=1)
        search = self._search(replace(problem, penalty=penalty))
        return CardinalityPath(search, self.effort)


def _solution(fits: SubsetFits, fit: Fit, n_iter: int) -> Solution:
    coef, intercept = fits.solution(fit)
    certificate = Certificate("not computed along a path", np.nan)
    return Solution(coef, intercept, Status.CONVERGED, certificate, np.nan, n_iter, "")


def _first_columns(search: SubsetSearch, gains: Array) -> Indices:
    """Columns that gain most alone."""
    fits = search.fits
    wanted = search.budget.limit if fits.penalty.max_features is not None else 0
    most = max(TUNING.first_numbers // fits.problem.design.n_samples, 2 * wanted, 1)
    return best(gains, min(max(TUNING.first, TUNING.first_per_feature * wanted), most))
