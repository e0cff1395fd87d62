"""What the best-subset estimators share that choose their size or price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.model_selection import check_cv
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._typing import Array, Indices
from sksparse.linear_model._criteria import CRITERIA
from sksparse.linear_model.l0._choice import (
    CrossValidation,
    Errors,
    Fold,
    choose,
    criterion_path,
    make_folds,
)
from sksparse.linear_model.l0._degrees import effective_degrees
from sksparse.linear_model.l0._grid import make_grid
from sksparse.linear_model.l0._path import L0Path, as_path
from sksparse.linear_model.l0._task import Grid, Points, SubsetTask
from sksparse.losses import Loss
from sksparse.solvers import Solution, Status

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
    l2: Any
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

    def _task(self, X: Any, loss: Loss, l2: float = 0.0) -> SubsetTask:
        options = ("l1", "positive", "penalty_weights", "fit_intercept", "effort")
        return SubsetTask.of(
            X,
            loss,
            l2=l2,
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
        self, tasks: list[SubsetTask], folds: list[Fold], n: float, errors: Errors | None = None
    ) -> tuple[Solution, int, str]:
        """Choose a point among those of the tasks, which differ in their ridge only.

        Returns the fit there, the position of its task, and why one did not converge if one did
        not.
        """
        paths = [self._path(task, n) for task in tasks]
        for name in _ONLY_SOMETIMES & vars(self).keys():
            delattr(self, name)
        if folds:
            chosen, best, message = self._by_folds(tasks, paths, folds, errors)
        else:
            values = self._criteria(tasks, [points for _, points in paths], n)
            chosen, best = divmod(int(np.argmin(values)), values.shape[1])
            message = ""
        task, (grid, points) = tasks[chosen], paths[chosen]
        solution = self._fit_point(task, grid, points, best)
        if solution.status is Status.INTERRUPTED:
            solution = _of_the_path(solution, points, best)
        separated = task.separation(Points.of([solution]))
        if any(each.penalty.scaled_l2 == 0.0 for each in tasks):
            # without a ridge the other points have no minimum to be compared by
            found = (each.separation(p) for each, (_, p) in zip(tasks, paths, strict=True))
            separated = next(filter(None, found), "")
        paths[chosen] = grid, points.replaced(best, solution)
        if not folds:
            values = self._criteria(tasks, [points for _, points in paths], n)
            self.criterion_path_ = values if len(tasks) > 1 else values[0]
        self._store_path(as_path(task, paths[chosen][1], grid), best)
        self.n_iter_ = solution.n_iter
        self.optimality_ = solution.certificate.value
        if self.verbose:
            print(
                f"[{type(self).__name__}] chose {grid.points[best]:.3g} of {grid}: "
                f"{self.n_features_} features"
            )
        return solution, chosen, solution.message or points.message or message or separated

    def _path(self, task: SubsetTask, n: float) -> tuple[Grid, Points]:
        grid = make_grid(task, self.max_features, self.alphas, n, self.n_candidates)
        points = task.over(grid)
        if points.interrupted:
            raise KeyboardInterrupt
        return grid, points

    def _by_folds(
        self,
        tasks: list[SubsetTask],
        paths: list[tuple[Grid, Points]],
        folds: list[Fold],
        errors: Errors | None,
    ) -> tuple[int, int, str]:
        validation = CrossValidation(
            type(self).__name__, self._error_name, errors, self.n_jobs, int(self.verbose)
        )
        runs = [
            validation.run(task, grid, folds) for task, (grid, _) in zip(tasks, paths, strict=True)
        ]
        tables = np.stack([table for table, _ in runs])
        self._store_errors(tables if len(tasks) > 1 else tables[0])
        n_features = np.concatenate(
            [
                np.count_nonzero(points.used[task.priced], axis=0)
                for task, (_, points) in zip(tasks, paths, strict=True)
            ]
        )
        flat = choose(np.concatenate(tables), n_features, self.selection)
        message = next(filter(None, (message for _, message in runs)), "")
        return *divmod(flat, tables.shape[1]), message

    def _criteria(self, tasks: list[SubsetTask], points: list[Points], n: float) -> Array:
        """Criterion of all points of each task, shape (n_tasks, n_points).

        A stronger ridge never fits better: it is preferred for the degrees of freedom it takes.
        """
        degrees = effective_degrees if len(tasks) > 1 else None
        return np.stack(
            [
                criterion_path(task, fits, self.criterion, n, self.n_candidates, degrees)
                for task, fits in zip(tasks, points, strict=True)
            ]
        )

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


def _of_the_path(interrupted: Solution, points: Points, best: int) -> Solution:
    """The fit of a point that the path has, where a last look at all features was cut short."""
    coef: Any = points.coefs[..., best]
    intercept: Any = points.intercepts[:, best]
    if len(coef) == 1:
        coef, intercept = coef[0], float(intercept[0])
    return replace(
        interrupted,
        coef=coef,
        intercept=intercept,
        message="The last fit was interrupted: the answer is that of the path, which was not "
        "checked against all features. Remedy: fit again and wait longer.",
    )
