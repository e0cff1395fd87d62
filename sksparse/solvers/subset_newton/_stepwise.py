"""Forward selection and backward elimination for any smooth loss.

Steps are chosen by the quadratic model of the loss at the current fit, as score and Wald tests
choose them; after each, Newton steps refit all coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sksparse._interrupts import check, worth_keeping
from sksparse._typing import Array, Indices
from sksparse.solvers._base import Iterate, IterativeSolver
from sksparse.solvers._problem import Problem
from sksparse.solvers._solution import Certificate
from sksparse.solvers.subset._checks import independent, require_best_subset, require_rank
from sksparse.solvers.subset_newton._local_search import Budget, SubsetSearch
from sksparse.solvers.subset_newton._newton_refit import Fit
from sksparse.solvers.subset_newton._subset_fits import SubsetFits
from sksparse.solvers.subset_newton._tuning import TUNING


@dataclass
class StepwiseNewtonIterate(Iterate):
    """A fit, and whether stepwise selection has ended.

    Parameters
    ----------
    search : SubsetSearch
        Refits and models.
    fit : Fit
        The current model.
    gain : float
        Relative fall of the objective in the last step; infinite where there are still too many
        features, zero at the end.
    """

    search: SubsetSearch = field(kw_only=True)
    fit: Fit = field(kw_only=True)
    gain: float = np.inf


class StepwiseNewton(IterativeSolver[StepwiseNewtonIterate]):
    """Stepwise selection for any smooth loss plus an :class:`L0` penalty.

    Forward, each time the feature enters for which the quadratic model of the loss, its
    coefficients free, predicts the largest fall of the objective (a score test); backward, from
    the fit on all features, the one leaves whose removal raises the model least (a Wald test). All
    coefficients are then refitted. It ends at ``max_features``, or where a step would raise the
    objective, the penalty on their number included. The answer is a function of the data alone; a
    start is not used.

    Parameters
    ----------
    backward : bool
        The direction.
    tol, max_iter, verbose
        As in :class:`Solver`; a step moves up to 10 features, and gains of at most ``tol`` times
        the loss do not count.

    Notes
    -----
    The certificate is the relative fall of the objective in the last step, infinite while there
    are too many features, and zero at the end of the rule. It says nothing about other subsets.

    Where a loss that need not have a minimum has fallen to its negligible share of the null model's
    and no norm is added, it counts as zero, and forward selection ends.

    References
    ----------
    A. Miller (2002). "Subset selection in regression", 2nd ed., chapter 3. Chapman and Hall/CRC.
    """

    def __init__(self, *, backward: bool, tol: float, max_iter: int, verbose: int = 0) -> None:
        super().__init__(tol=tol, max_iter=max_iter, verbose=verbose)
        self.backward = backward

    def check(self, problem: Problem) -> None:
        require_best_subset(problem)
        if self.backward:
            require_rank(problem)

    def start(self, problem: Problem, coef: Array | None) -> StepwiseNewtonIterate:
        fits = SubsetFits(problem, max(self.tol, problem.precision))
        search, fit = SubsetSearch(fits, Budget.of(problem, effort=1)), fits.null_fit()
        if self.backward:
            fit = fits.fit(_independent(fits), fit)
            if fits.finished(fit):
                raise ValueError(
                    "solver='backward' starts from the fit on all features, and these "
                    f"{problem.loss.unbounded_if}: without a norm their coefficients have no "
                    "bound. Give a positive l2, or use solver='forward'."
                )
        coef, intercept = fits.solution(fit)
        return StepwiseNewtonIterate(coef, intercept, search=search, fit=fit)

    def certify(self, problem: Problem, state: StepwiseNewtonIterate) -> Certificate:
        kind = "leaves" if self.backward else "enters"
        return Certificate(f"relative fall of the objective as a feature {kind}", state.gain)

    def gap(self, problem: Problem, coef: Array, intercept: float) -> float:
        return np.nan

    def step(self, problem: Problem, state: StepwiseNewtonIterate) -> None:
        search, before = state.search, state.fit
        try:
            self._move(state)
            fit = search.fits.polish(state.fit)
        except KeyboardInterrupt:
            unfit = search.objective(state.fit) == np.inf
            nothing = state.fit is before and not np.isfinite(state.gain)
            if unfit or nothing or not worth_keeping():
                raise
            state.interrupted = True
            fit = search.fits.polish(state.fit)
        state.fit = fit
        state.coef, state.intercept = search.fits.solution(fit)

    def _move(self, state: StepwiseNewtonIterate) -> None:
        search, move = state.search, _without if self.backward else _with_one_more
        for _ in range(max(TUNING.per_step, len(state.fit.support) // 2)):
            check()
            support = move(search, state.fit)
            if support is None:
                # with too many features and none that may leave, the rule has failed
                state.progress = np.isfinite(search.objective(state.fit))
                state.gain = 0.0 if state.progress else np.inf
                break
            moved = search.fits.fit(support, state.fit)
            # Above the limit a feature leaves at any loss.
            forced = search.objective(state.fit) == np.inf
            fall = np.inf if forced else search.objective(state.fit) - search.objective(moved)
            if not fall > search.fits.threshold(state.fit):
                state.gain = 0.0
                break
            state.fit, state.gain = moved, search.relative(fall, moved)


def _with_one_more(search: SubsetSearch, fit: Fit) -> Indices | None:
    """The support with the feature of the largest predicted gain; None where none may enter."""
    if search.capacity(fit.support, search.budget.limit) <= 0:
        return None
    gains = search.gains(fit, swaps=False)
    feature = np.argmax(gains, keepdims=True)
    return (
        np.append(fit.support, search.fits.columns.at(feature))
        if np.isfinite(gains.max())
        else None
    )


def _without(search: SubsetSearch, fit: Fit) -> Indices | None:
    """The support without the feature whose removal raises the model least; None where all stay."""
    drops = search.drops(fit)
    return np.delete(fit.support, np.argmax(drops)) if np.isfinite(drops).any() else None


def _independent(fits: SubsetFits) -> Indices:
    """All features in the working set but those that are collinear with others."""
    columns, usable = fits.columns, np.flatnonzero(fits.columns.usable)
    at = columns.at(usable)
    rows = columns.rows[at] * np.sqrt(fits.problem.loss.weights)
    gram = rows @ rows.T + np.diag(fits.penalties(usable, 0.0).l2)
    lengths = np.sqrt(np.diag(gram))
    return at[independent(gram / np.outer(lengths, lengths), fits.free[usable])]
