"""Paths and cross-validation of convex families: a smooth loss plus a penalty with a strength."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.utils.validation import check_X_y

from sksparse._interrupts import interruptible
from sksparse._scaling import strength
from sksparse._typing import Array
from sksparse._validation import (
    check_data,
    check_target_scale,
    check_weights,
    targets_of_one_type,
    warn_unless_converged,
)
from sksparse.linear_model._base import SparseRegressorMixin, attributes_in
from sksparse.linear_model._path_protocol import (
    Grid,
    PathFits,
    PathTask,
    RegularizationPath,
    check_alphas,
    is_count,
    solve_along,
)
from sksparse.linear_model._path_search import PathSearch
from sksparse.losses import Squared
from sksparse.penalties import ConvexPenalty
from sksparse.solvers import Design, GramCache, Problem, Solution, Solver
from sksparse.solvers.convex._base import moderate

# A grid by default ends at this share of its largest strength.
_LOWEST_ALPHA = 1e-3


@dataclass(frozen=True)
class ConvexPath(RegularizationPath):
    """The fits of a convex family at decreasing strengths of its penalty.

    Parameters
    ----------
    n_features : ndarray of shape (n_points,)
        Number of features that each fit uses.
    alphas : ndarray of shape (n_points,)
        Strengths of the penalty, decreasing.
    coefs : ndarray of shape (n_features, n_points)
        Coefficients, in the float type of the features.
    intercepts : ndarray of shape (n_points,)
        Intercepts.
    losses : ndarray of shape (n_points,)
        Weighted mean loss of each fit, without the penalty.
    optimality : ndarray of shape (n_points,)
        Largest violation of the optimality conditions of each fit, as a correlation.
    dual_gaps : ndarray of shape (n_points,)
        Duality gap of each fit, in units of the objective; nan where ``alpha`` is 0.
    """

    dual_gaps: Array


@dataclass(frozen=True, kw_only=True)
class ConvexTask(PathTask):
    """Data, loss and penalty. Strengths share a Gram matrix, and each starts from the one before.

    Parameters
    ----------
    design, loss, fit_intercept
        As in :class:`PathTask`.
    penalty : ConvexPenalty
        The penalty at unit strength.
    solver : callable
        The class of the solver.
    max_iter : int
        As in the solver.
    tol : float
        As in the solver.
    verbose : int, default=0
        As in the solver.
    """

    penalty: ConvexPenalty
    solver: Callable[..., Solver]
    max_iter: int
    tol: float
    verbose: int = 0

    def grid(self, alphas: Any) -> Grid:
        """The strengths that the user lists, or so many from the one that selects nothing down."""
        if not is_count(alphas):
            return Grid(alphas=check_alphas(alphas))
        highest = self.largest_alpha()
        return Grid(alphas=np.geomspace(highest, _LOWEST_ALPHA * highest, int(alphas)))

    def largest_alpha(self) -> float:
        """The smallest strength that selects nothing; 1 where nothing is ever selected."""
        problem, exponent = moderate(self._problem(1.0))
        nothing = np.zeros(problem.design.n_features)
        gradient = problem.gradient_at(nothing, problem.null_intercept)
        return strength(self.penalty.dual_norm(gradient), exponent) or 1.0

    def fit_along(self, grid: Grid) -> PathFits:
        problem = self._problem(float(grid.points[0]))
        solve = self._solver(self._gram(problem)).along(problem, grid.points)
        return PathFits.of(solve_along(grid.points, solve, self.verbose))

    def refit(self, grid: Grid, fits: PathFits, point: int) -> Solution:
        problem = self._problem(float(grid.points[point]))
        return self._solver(None).solve(problem, fits.at(point)[0])

    def path(self, grid: Grid, fits: PathFits) -> ConvexPath:
        return ConvexPath(
            **self.common_results(fits, self.losses(fits)),
            alphas=grid.points[: len(fits)],
            dual_gaps=fits.gaps,
        )

    def _problem(self, alpha: float) -> Problem:
        return Problem(self.design, self.loss, self.penalty, alpha, self.fit_intercept)

    def _solver(self, gram: GramCache | None) -> Solver:
        return self.solver(gram=gram, tol=self.tol, max_iter=self.max_iter, verbose=self.verbose)

    def _gram(self, problem: Problem) -> GramCache | None:
        """The Gram matrix that all strengths share, of a squared loss on features as they are."""
        if not problem.loss.quadratic or moderate(problem)[1] != 0:
            return None
        return GramCache(problem.centred)


def convex_path(
    X: Any,
    y: Any,
    penalty: Callable[[int], ConvexPenalty],
    solver: Callable[..., Solver],
    *,
    alphas: Any,
    sample_weight: Any,
    **options: Any,
) -> ConvexPath:
    """The path of a squared loss, for the function that a family offers.

    Parameters
    ----------
    X, y, alphas, sample_weight
        As the user passed them.
    penalty : callable
        Takes a number of features; the penalty at unit strength.
    solver : callable
        The class of the solver.
    **options : dict
        Further fields of a :class:`ConvexTask`.
    """
    y = targets_of_one_type(y)
    X, y = check_X_y(X, y, accept_sparse="csc", dtype=[np.float64, np.float32], y_numeric=True)
    check_target_scale(y)
    counts = check_weights(sample_weight, X)
    task = ConvexTask(
        design=Design(X),
        loss=Squared(y, counts / counts.sum()),
        penalty=penalty(X.shape[1]),
        solver=solver,
        **options,
    )
    with interruptible():
        grid = task.grid(alphas)
        fits = task.fit_along(grid)
        path = task.path(grid, fits)
    warn_unless_converged(fits.message)
    return path


class ConvexRegressorCV(SparseRegressorMixin, PathSearch[ConvexTask]):
    """A linear regressor whose strength of a convex penalty is chosen by cross-validation.

    A family names its parameters, its solver and its penalty.
    """

    #: The class of the solver.
    _solver: ClassVar[Callable[..., Solver]]

    # strengths on all samples, folds, and iterations of the last fit
    _n_fit_levels = 3

    dual_gap_: float
    mse_path_: Array

    @abstractmethod
    def _penalty(self, n_features: int) -> ConvexPenalty:
        """The penalty of unit strength that the parameters describe."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None, **params: Any) -> ConvexRegressorCV:
        """Choose a strength, and fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            Training features, float32 or float64, dense in any memory order or sparse; other
            types are converted. Never modified.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights, used in fits and errors; an integer weight equals so many
            repetitions of the sample, all in the same folds.
        **params : dict
            Metadata for the splitter ``cv`` and for ``scoring``: ``groups``, an array-like of shape
            (n_samples,), for splitters such as ``GroupKFold``, or what they request where metadata
            routing of scikit-learn is enabled.

        Returns
        -------
        self : object
            The fitted estimator.
        """
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            X, y, weights = check_data(self, X, y, sample_weight, y_numeric=True)
            check_target_scale(y)
            loss = Squared(y, weights)
            task = ConvexTask(
                design=Design(X),
                loss=loss,
                fit_intercept=self.fit_intercept,
                penalty=self._penalty(X.shape[1]),
                solver=self._solver,
                max_iter=self.max_iter,
                tol=self.tol,
                verbose=max(int(self.verbose) - 1, 0),
            )
            attributes = attributes_in(X.dtype)
            fit.describe(task.design, loss, attributes)
            held_out = self._held_out(X, y, loss, sample_weight, params)
            found = self._search([task], [task.grid(self.alphas)], held_out)
            self._adopt(attributes(found.solution.coef, found.solution.intercept))
            self.dual_gap_ = found.solution.gap
            self._store_solution(found.solution)
        warn_unless_converged(found.message)
        return self

    def _store_solution(self, solution: Solution) -> None:
        """Set the fitted attributes of the family."""
