"""What the estimators share that fit a path and choose one of its points."""

from __future__ import annotations

from abc import ABC
from numbers import Integral, Real
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._estimator import SparseEstimator
from sksparse._progress import Progress
from sksparse._typing import Array, Indices
from sksparse.linear_model._cross_validation import (
    CrossValidation,
    Errors,
    Fold,
    choose,
    make_folds,
)
from sksparse.linear_model._path_protocol import Grid, PathFits, PathTask
from sksparse.solvers import Solution

Task = TypeVar("Task", bound=PathTask)


class Choice(NamedTuple):
    """What a search has found.

    Parameters
    ----------
    solution : Solution
        The fit of the point chosen.
    task : int
        Position of its task.
    message : str
        Text of a warning, or empty.
    """

    solution: Solution
    task: int
    message: str


class PathSearch(SparseEstimator, ABC, Generic[Task]):
    """A path on all samples, a choice among its points, and a last fit at that point.

    A family derives from it, names its parameters, and in ``fit`` makes the tasks and grids that
    :meth:`_search` is given.
    """

    alphas: Any
    cv: Any
    selection: str
    fit_intercept: bool
    max_iter: int
    tol: float
    n_jobs: int | None
    verbose: int

    alpha_: float
    alphas_: Array
    n_features_: int
    n_features_path_: Indices
    coef_path_: Array
    intercept_path_: Array
    n_iter_: int
    optimality_: float

    _common_constraints: ClassVar[dict[str, list[Any]]] = {
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "cv": ["cv_object"],
        "selection": [StrOptions({"min", "1se"})],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    #: What the errors of a fold are called in progress lines.
    _error_name: str = "mean squared error"
    #: Errors in units of the loss: twice the squared loss is the squared error.
    _error_per_loss: ClassVar[float] = 2.0
    #: Attributes that only some fits set: left by an earlier one, they would be wrong.
    _only_sometimes: ClassVar[frozenset[str]] = frozenset()

    def _folds(self, X: Any, y: Any, weights: Array) -> list[Fold]:
        splitter = check_cv(self.cv, y, classifier=is_classifier(self))
        splits = list(splitter.split(X, y))
        if not splits:
            raise ValueError(f"cv={self.cv!r} has no splits; give some, or cv=None.")
        return make_folds(splits, weights)

    def _search(
        self,
        tasks: list[Task],
        grids: list[Grid],
        folds: list[Fold],
        errors: Errors | None = None,
    ) -> Choice:
        """Choose among the points of all tasks.

        These differ in one parameter that the grid does not cover. ``errors`` scores the fits of a
        fold; None is the loss.
        """
        progress = Progress(type(self).__name__, "path", len(tasks), verbose=int(self.verbose))
        progress.say(f"{grids[0]} on all samples")
        paths = [_complete_path(task, grid) for task, grid in zip(tasks, grids, strict=True)]
        for name in self._only_sometimes & vars(self).keys():
            delattr(self, name)
        chosen, point, message = self._choose(tasks, grids, paths, folds, errors)
        task, grid, fits = tasks[chosen], grids[chosen], paths[chosen]
        solution = task.refit(grid, fits, point)
        warning = self._warning(tasks, paths, chosen, solution)
        paths[chosen] = fits.with_part(np.array([point]), PathFits.of([solution]))
        self._store(tasks, grids, paths, chosen, point)
        self.n_iter_ = solution.n_iter
        self.optimality_ = solution.certificate.value
        progress.say(f"chose {grid.points[point]:.3g} of {grid}: {self.n_features_} features")
        return Choice(solution, chosen, solution.message or fits.message or message or warning)

    def _choose(
        self,
        tasks: list[Task],
        grids: list[Grid],
        paths: list[PathFits],
        folds: list[Fold],
        errors: Errors | None,
    ) -> tuple[int, int, str]:
        """Position of the task and of the point, and why a fit did not converge if one did not."""
        validation = CrossValidation(
            type(self).__name__,
            self._error_name,
            errors,
            self._error_per_loss,
            self.n_jobs,
            int(self.verbose),
        )
        runs = [validation.run(task, grid, folds) for task, grid in zip(tasks, grids, strict=True)]
        tables = np.stack([table for table, _ in runs])
        self._store_errors(tables if len(tasks) > 1 else tables[0])
        counts = [task.n_features(fits) for task, fits in zip(tasks, paths, strict=True)]
        flat = choose(np.concatenate(tables), np.concatenate(counts), self.selection)
        message = next(filter(None, (message for _, message in runs)), "")
        return *divmod(flat, tables.shape[1]), message

    def _store_errors(self, errors: Array) -> None:
        """Set the attribute that holds the errors of the folds.

        Their shape is (n_points, n_folds), after the tasks where there are several.
        """
        self.mse_path_ = errors

    def _warning(
        self, tasks: list[Task], paths: list[PathFits], chosen: int, solution: Solution
    ) -> str:
        """Text of a warning about fits that converged; empty if none is needed."""
        return ""

    def _store(
        self,
        tasks: list[Task],
        grids: list[Grid],
        paths: list[PathFits],
        chosen: int,
        point: int,
    ) -> None:
        """Set the attributes of the path that holds the point chosen."""
        path = tasks[chosen].path(grids[chosen], paths[chosen])
        self.alphas_, self.n_features_path_ = path.alphas, path.n_features
        self.coef_path_, self.intercept_path_ = path.coefs, path.intercepts
        self.alpha_ = float(path.alphas[point])
        self.n_features_ = int(path.n_features[point])


def _complete_path(task: PathTask, grid: Grid) -> PathFits:
    fits = task.fit_along(grid)
    if fits.interrupted:
        raise KeyboardInterrupt
    return fits
