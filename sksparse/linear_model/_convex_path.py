"""Paths and cross-validation of convex families: a smooth loss plus a penalty with a strength."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np

from sksparse._estimator import SparseEstimator
from sksparse._interrupts import interruptible
from sksparse._scaling import ScaleError, strength
from sksparse._typing import Array
from sksparse._validation import refuse_missing, warn_unless_converged
from sksparse.linear_model._base import Attributes
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
from sksparse.linear_model._scoring import CountedFeatures, Readout
from sksparse.penalties import ConvexPenalty
from sksparse.solvers import GramCache, Problem, Solution, Solver
from sksparse.solvers._dense_design import DenseDesign
from sksparse.solvers.convex._base import moderate, nothing_left

#: A grid by default ends at this share of its largest strength.
EPS = 1e-3
# Share of the strength that selects nothing by which rounding may miss it.
_ROUNDING = 1e-10


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
    eps : float, default=1e-3
        Smallest strength of a grid, as a share of the largest.
    """

    penalty: ConvexPenalty
    solver: Callable[..., Solver]
    max_iter: int
    tol: float
    verbose: int = 0
    eps: float = EPS

    def grid(self, alphas: Any) -> Grid:
        """The strengths that the user lists, or so many from the one that selects nothing down."""
        if not is_count(alphas):
            return Grid(alphas=check_alphas(alphas))
        # where nothing is ever selected, any strength will do
        highest = self.alpha_max or 1.0
        return Grid(alphas=np.geomspace(highest, self.eps * highest, int(alphas)))

    @cached_property
    def alpha_max(self) -> float:
        """The smallest strength at which nothing that is penalised is selected."""
        problem, exponent = moderate(self._unit_problem)
        if nothing_left(problem):
            return 0.0
        coef, intercept = self._null_fit()
        gradient = problem.gradient_at(np.ldexp(coef, exponent), intercept)
        return strength(self.penalty.dual_norm(gradient) * (1.0 + _ROUNDING), exponent)

    @property
    def variances(self) -> Array:
        """Variances of the columns, for the weights of the loss."""
        return self._unit_problem.centred.variances

    def measure(self) -> None:
        """Measure the columns, which all strengths share.

        Raises
        ------
        ScaleError
            Where squares leave the range of float64, or a feature is not finite.
        """
        self.variances  # noqa: B018

    def _null_fit(self) -> tuple[Array, Any]:
        """Coefficients and intercept of the fit without anything that is penalised."""
        unit = self._unit_problem
        return unit.null_coef, unit.null_intercept

    def start_from(self, coef: Array) -> Array | None:
        """Coefficients of features of an earlier fit as a start, if they fit the data."""
        rows = np.atleast_2d(np.asarray(coef, dtype=np.float64))
        if rows.shape != (self.loss.n_outputs, self.design.n_features):
            return None
        return rows[0] if len(rows) == 1 else rows

    def solve(self, alpha: float, coef: Array | None = None) -> Solution:
        """The fit at one strength, from the coefficients of another where they are given."""
        return self._solver(None).solve(self._problem(alpha), coef)

    def along(self, alphas: Array) -> Callable[[float, Solution | None], Solution]:
        """What solves decreasing strengths, asked for one after another with the one before."""
        problem = self._problem(float(alphas[0]))
        return self._solver(self._gram(problem)).along(problem, alphas)

    def fit_along(self, grid: Grid) -> PathFits:
        return PathFits.of(solve_along(grid.points, self.along(grid.points), self.verbose))

    def refit(self, grid: Grid, fits: PathFits, point: int) -> Solution:
        return self.solve(float(grid.points[point]), fits.at(point)[0])

    def path(self, grid: Grid, fits: PathFits) -> ConvexPath:
        return ConvexPath(
            **self.common_results(fits, self.losses(fits)),
            alphas=grid.points[: len(fits)],
            dual_gaps=fits.gaps,
        )

    def _problem(self, alpha: float) -> Problem:
        unit = self._unit_problem
        # moments of the features are shared once they are known
        known = "centred" in vars(unit)
        return unit.with_alpha(alpha) if known else replace(unit, alpha=alpha)

    @cached_property
    def _unit_problem(self) -> Problem:
        return Problem(self.design, self.loss, self.penalty, 1.0, self.fit_intercept)

    def _solver(self, gram: GramCache | None) -> Solver:
        return self.solver(gram=gram, tol=self.tol, max_iter=self.max_iter, verbose=self.verbose)

    def _gram(self, problem: Problem) -> GramCache | None:
        """The Gram matrix that all strengths share, of a squared loss on features as they are."""
        if not problem.loss.quadratic or moderate(problem)[1] != 0:
            return None
        return GramCache(problem.centred)


AnyTask = TypeVar("AnyTask", bound=ConvexTask)


class Posed(NamedTuple, Generic[AnyTask]):
    """Data and parameters that were checked, as a task.

    Parameters
    ----------
    X, y : array-like
        Features and targets as folds and scorers take them.
    task : ConvexTask
        What is to be fitted.
    attributes : callable
        Takes coefficients and intercept as a solver has them; fitted attributes.
    """

    X: Any
    y: Any
    task: AnyTask
    attributes: Attributes


class ConvexEstimatorMixin(ABC, Generic[AnyTask]):
    """An estimator that poses a convex problem with a strength."""

    dual_gap_: float
    n_iter_: int
    optimality_: float

    @abstractmethod
    def _pose(self, X: Any, y: Any, sample_weight: Any) -> Posed[AnyTask]:
        """The task that the data and the validated parameters describe."""

    def _measures(self, X: Any) -> bool:
        """Whether moments of all of X come before all else, and show what is not finite."""
        return DenseDesign.reads(X)

    def _measure(self, task: AnyTask, X: Any) -> None:
        """Measure the columns, where that comes first; refuse what is not finite."""
        if self._measures(X):
            try:
                task.measure()
            except ScaleError:
                # squares of finite numbers may be beyond the range as well
                refuse_missing(self, X)

    def _store_certificate(self, solution: Solution) -> None:
        """Set what a solution says of itself."""
        self.n_iter_ = solution.n_iter
        self.optimality_ = solution.certificate.value
        self.dual_gap_ = solution.gap


class ConvexEstimator(ConvexEstimatorMixin[AnyTask], SparseEstimator):
    """A fit of one strength of a convex penalty."""

    alpha: float
    warm_start: bool

    _n_fit_levels: ClassVar[int | None] = 1

    @abstractmethod
    def _dense_coef(self) -> Array:
        """The coefficients of the fit before."""

    def _fit(self, X: Any, y: Any, sample_weight: Any) -> str:
        """Fit, given the arguments of ``fit``; text of a warning, or empty."""
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            again = self.warm_start and "coef_" in vars(self)
            before = self._dense_coef() if again else None
            posed = self._pose(X, y, sample_weight)
            task = posed.task
            fit.describe(task.design, task.loss, posed.attributes)
            solution = self._solved(task, None if before is None else task.start_from(before))
            self._adopt(posed.attributes(solution.coef, solution.intercept))
            self._store_certificate(solution)
        return solution.message

    def _solved(self, task: AnyTask, start: Array | None) -> Solution:
        """The fit that the parameters ask for."""
        return task.solve(float(self.alpha), start)


def fit_path(task: ConvexTask, alphas: Any) -> Any:
    """The path of a task, for the function that a family offers; ``alphas`` as the user gave it."""
    with interruptible():
        grid = task.grid(alphas)
        fits = task.fit_along(grid)
        path = task.path(grid, fits)
    warn_unless_converged(fits.message)
    return path


class ConvexSearch(ConvexEstimatorMixin[AnyTask], PathSearch[AnyTask]):
    """An estimator whose strength of a convex penalty is chosen by cross-validation."""

    # strengths on all samples, folds, and iterations of the last fit
    _n_fit_levels = 3

    def _model_of_one_point(self) -> SparseEstimator:
        model = self._of_one_point()
        known, own = model.get_params(deep=False), self.get_params(deep=False)
        return model.set_params(**{name: own[name] for name in known.keys() & own.keys()})

    def _readout(self, task: AnyTask) -> Readout:
        """What coefficients of a task mean."""
        return CountedFeatures()

    def _choose_strength(self, X: Any, y: Any, sample_weight: Any, params: dict[str, Any]) -> str:
        """Fit, given the arguments of ``fit``; text of a warning, or empty."""
        with self._fitting(X, y, sample_weight) as fit:
            self._validate_params()
            posed = self._pose(X, y, sample_weight)
            task = replace(posed.task, verbose=max(posed.task.verbose - 1, 0))
            fit.describe(task.design, task.loss, posed.attributes)
            held_out = self._held_out(
                posed.X, posed.y, task.loss, sample_weight, params, self._readout(task)
            )
            found = self._search([task], [task.grid(self.alphas)], held_out)
            solution = found.solution
            self._adopt(posed.attributes(solution.coef, solution.intercept))
            self._store_solution(solution)
        return found.message

    def _store_solution(self, solution: Solution) -> None:
        """Set the fitted attributes of the answer chosen."""
        self.dual_gap_ = solution.gap
