"""What the best-subset estimators share that choose their number of features or strength."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from sksparse._typing import Array, Indices
from sksparse.linear_model._criteria import CRITERIA
from sksparse.linear_model._cross_validation import Fold
from sksparse.linear_model._path_protocol import Grid, PathFits
from sksparse.linear_model._path_search import Choice, HeldOut, PathSearch
from sksparse.linear_model.l0._criterion_path import criterion_path
from sksparse.linear_model.l0._degrees import effective_degrees
from sksparse.linear_model.l0._grid import make_grid
from sksparse.linear_model.l0._options import SUBSET_CONSTRAINTS
from sksparse.linear_model.l0._task import SubsetTask
from sksparse.losses import Loss
from sksparse.solvers import Solution


class L0Search(PathSearch[SubsetTask]):
    """A search along limits or strengths, by folds or by an information criterion."""

    max_features: Any
    criterion: str
    n_candidates: int | None
    l1: float
    l2: Any
    positive: Any
    penalty_weights: Any
    effort: int

    criterion_path_: Array
    sizes_: Indices

    _common_constraints: ClassVar[dict[str, list[Any]]] = {
        **PathSearch._common_constraints,
        **SUBSET_CONSTRAINTS,
        "max_features": [Interval(Integral, 0, None, closed="left"), "array-like", None],
        "criterion": [StrOptions(set(CRITERIA))],
        "n_candidates": [Interval(Integral, 1, None, closed="left"), None],
    }
    _only_sometimes = PathSearch._only_sometimes | {"criterion_path_", "deviance_path_", "sizes_"}

    def _check_choice(self) -> None:
        """Refuse what only folds could use."""
        if self.cv is None and self.selection != "min":
            raise ValueError(
                f"selection={self.selection!r} compares errors over folds, and cv is None: give "
                "cv, such as 5, or leave selection at 'min'."
            )
        if self.cv is None and self.scoring is not None:
            raise ValueError(
                f"scoring={self.scoring!r} scores held-out samples, and cv is None: give cv, such "
                "as 5, or leave scoring at None to choose by criterion."
            )

    def _folds(self, X: Any, y: Any, weights: Array, options: dict[str, Any]) -> list[Fold]:
        if self.cv is not None:
            return super()._folds(X, y, weights, options)
        if options:
            raise ValueError(
                f"{', '.join(options)} tell a splitter which samples belong together, and cv is "
                "None: give cv, such as GroupKFold(5), or leave them out."
            )
        return []

    def _task(self, X: Any, loss: Loss, sample_count: float, l2: float = 0.0) -> SubsetTask:
        options = ("l1", "positive", "penalty_weights", "fit_intercept", "effort")
        return SubsetTask.of(
            X,
            loss,
            l2=l2,
            sample_count=sample_count,
            verbose=max(int(self.verbose) - 1, 0),
            **{name: getattr(self, name) for name in (*options, "max_iter", "tol")},
        )

    def _search_tasks(self, tasks: list[SubsetTask], held_out: HeldOut) -> Choice:
        """Choose among the points of tasks that differ in their ridge only."""
        grids = [
            make_grid(task, self.max_features, self.alphas, self.n_candidates) for task in tasks
        ]
        return self._search(tasks, grids, held_out)

    def _choose(
        self,
        tasks: list[SubsetTask],
        grids: list[Grid],
        paths: list[PathFits],
        held_out: HeldOut,
    ) -> tuple[int, int, str]:
        if held_out.folds:
            return super()._choose(tasks, grids, paths, held_out)
        values = self._criteria(tasks, paths)
        return *divmod(int(np.argmin(values)), values.shape[1]), ""

    def _criteria(self, tasks: list[SubsetTask], paths: list[PathFits]) -> Array:
        """Criterion of all points of each task, shape (n_tasks, n_points).

        A stronger ridge never fits better: it is preferred for the degrees of freedom it takes.
        """
        degrees = effective_degrees if len(tasks) > 1 else None
        return np.stack(
            [
                criterion_path(task, fits, self.criterion, self.n_candidates, degrees)
                for task, fits in zip(tasks, paths, strict=True)
            ]
        )

    def _warning(
        self, tasks: list[SubsetTask], paths: list[PathFits], chosen: int, solution: Solution
    ) -> str:
        if all(task.penalty.scaled_l2 > 0.0 for task in tasks):
            return tasks[chosen].separation(PathFits.of([solution]))
        # without a ridge the other points have no minimum to be compared by
        found = (task.separation(fits) for task, fits in zip(tasks, paths, strict=True))
        return next(filter(None, found), "")

    def _store(
        self,
        tasks: list[SubsetTask],
        grids: list[Grid],
        paths: list[PathFits],
        chosen: int,
        point: int,
    ) -> None:
        super()._store(tasks, grids, paths, chosen, point)
        if self.cv is None:
            values = self._criteria(tasks, paths)
            self.criterion_path_ = values if len(tasks) > 1 else values[0]
        if grids[chosen].max_features is not None:
            self.sizes_ = grids[chosen].points
