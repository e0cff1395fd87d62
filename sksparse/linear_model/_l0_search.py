"""What the best-subset estimators share that choose their size or price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions

from .._typing import Array, Indices
from ..losses import Loss
from ..solvers import Solution
from ._criteria import CRITERIA
from ._l0_path import L0Path, as_path
from ._subset_choice import CrossValidation, Errors, Fold, choose, criterion_path, make_folds
from ._subset_grid import make_grid
from ._subset_task import Grid, Points, SubsetTask

# Left by an earlier fit with other parameters, these would be wrong.
_ONLY_SOMETIMES = {"criterion_path_", "mse_path_", "score_path_", "sizes_"}


class L0Search(BaseEstimator, ABC):
    """A path on all samples, a choice among its points, and a last fit at that point."""

    max_features: Any
    alphas: Any
    cv: Any
    criterion: str
    selection: str
    n_candidates: int | None
    l1: float
    l2: float
    positive: Any
    penalty_weights: Any
    effort: int
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
        "max_features": [Interval(Integral, 0, None, closed="left"), "array-like", None],
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "cv": ["cv_object"],
        "criterion": [StrOptions(set(CRITERIA))],
        "selection": [StrOptions({"min", "1se"})],
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
        "l1": [Interval(Real, 0, None, closed="left")],
        "l2": [Interval(Real, 0, None, closed="left")],
        "positive": ["boolean", "array-like"],
        "penalty_weights": ["array-like", None],
        "effort": [Interval(Integral, 1, None, closed="left")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    #: What the errors of a fold are called in progress lines.
    _error_name: str

    @abstractmethod
    def _store_errors(self, errors: Array) -> None:
        """Set the attribute that holds the errors, of shape (n_points, n_folds)."""

    def _check_choice(self) -> None:
        """Refuse what only folds could use."""
        if self.cv is None and self.selection != "min":
            raise ValueError(
                f"selection={self.selection!r} compares errors over folds, and cv is None: give "
                "cv, such as 5, or leave selection at 'min'."
            )

    def _task(self, X: Any, loss: Loss) -> SubsetTask:
        options = ("l1", "l2", "positive", "penalty_weights", "fit_intercept", "effort")
        return SubsetTask.of(
            X,
            loss,
            verbose=max(int(self.verbose) - 1, 0),
            **{name: getattr(self, name) for name in (*options, "max_iter", "tol")},
        )

    def _folds(self, X: Any, y: Any, counts: Array) -> list[Fold]:
        if self.cv is None:
            return []
        splitter = check_cv(self.cv, y, classifier=is_classifier(self))
        splits = list(splitter.split(X, y))
        if not splits:
            raise ValueError(f"cv={self.cv!r} has no splits; give some, or cv=None.")
        return make_folds(splits, counts)

    def _search(
        self, task: SubsetTask, folds: list[Fold], n: float, errors: Errors | None = None
    ) -> tuple[Solution, str]:
        """Choose a point; returns the fit there, and why one did not converge if one did not."""
        grid = make_grid(task, self.max_features, self.alphas, n, self.n_candidates)
        points = task.over(grid)
        if points.interrupted:
            raise KeyboardInterrupt
        for name in _ONLY_SOMETIMES & vars(self).keys():
            delattr(self, name)
        if folds:
            best, message = self._by_folds(task, grid, points, folds, errors)
        else:
            best, message = int(np.argmin(self._criterion_path(task, points, n))), ""
        solution = self._fit_point(task, grid, points, best)
        chosen = points.replaced(best, solution)
        if not folds:
            self.criterion_path_ = self._criterion_path(task, chosen, n)
        self._store_path(as_path(task, chosen, grid), best)
        self.n_iter_ = solution.n_iter
        self.optimality_ = solution.certificate.value
        if self.verbose:
            print(
                f"[{type(self).__name__}] chose {grid.points[best]:.3g} of {grid}: "
                f"{self.n_features_} features"
            )
        return solution, solution.message or points.message or message

    def _by_folds(
        self,
        task: SubsetTask,
        grid: Grid,
        points: Points,
        folds: list[Fold],
        errors: Errors | None,
    ) -> tuple[int, str]:
        validation = CrossValidation(
            type(self).__name__, self._error_name, errors, self.n_jobs, int(self.verbose)
        )
        table, message = validation.run(task, grid, folds)
        self._store_errors(table)
        n_features = np.count_nonzero(points.used[task.priced], axis=0)
        return choose(table, n_features, self.selection), message

    def _criterion_path(self, task: SubsetTask, points: Points, n: float) -> Array:
        return criterion_path(task, points, self.criterion, n, self.n_candidates)

    @staticmethod
    def _fit_point(task: SubsetTask, grid: Grid, points: Points, best: int) -> Solution:
        if grid.sizes is None:
            return task.fit(alpha=float(grid.points[best]))
        start = points.coefs[..., best]
        return task.fit(size=int(grid.sizes[best]), start=start[0] if len(start) == 1 else start)

    def _store_path(self, path: L0Path, best: int) -> None:
        self.alphas_, self.n_features_path_ = path.alphas, path.n_features
        self.coef_path_, self.intercept_path_ = path.coefs, path.intercepts
        if path.sizes is not None:
            self.sizes_ = path.sizes
        self.alpha_ = float(path.alphas[best])
        self.n_features_ = int(path.n_features[best])
