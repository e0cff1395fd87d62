"""What the estimators share that fit a path and choose one of its points."""

from __future__ import annotations

from abc import ABC
from numbers import Integral, Real
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metadata_routing import MetadataRouter

from sksparse._estimator import SparseEstimator
from sksparse._progress import Progress
from sksparse._typing import Array, Indices
from sksparse._validation import check_weights
from sksparse.linear_model._cross_validation import (
    CrossValidation,
    Fold,
    choose,
    make_folds,
)
from sksparse.linear_model._path_protocol import Grid, PathFits, PathTask
from sksparse.linear_model._routing import metadata_router, route, split_samples
from sksparse.linear_model._scoring import CountedFeatures, NegativeScores, Readout
from sksparse.losses import Loss
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


class HeldOut(NamedTuple):
    """What a search compares its points on.

    Parameters
    ----------
    folds : list of Fold
        Splits of the samples; none where a criterion on all samples chooses.
    scores : NegativeScores or None
        What scores the fits of a fold; None is the loss.
    """

    folds: list[Fold]
    scores: NegativeScores | None


class PathSearch(SparseEstimator, ABC, Generic[Task]):
    """A path on all samples, a choice among its points, and a last fit at that point.

    A family derives from it, names its parameters, and in ``fit`` makes the tasks and grids that
    :meth:`_search` is given.
    """

    alphas: Any
    cv: Any
    #: None where a family has no such parameter.
    scoring: Any = None
    penalty_weights: Any = None
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
    score_path_: Array

    _common_constraints: ClassVar[dict[str, list[Any]]] = {
        "alphas": [Interval(Integral, 1, None, closed="left"), "array-like", None],
        "cv": ["cv_object"],
        "scoring": [StrOptions(set(get_scorer_names())), callable, None],
        "selection": [StrOptions({"min", "1se"})],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    #: The estimator of the family that fits one point, which scorers are given.
    _of_one_point: ClassVar[type[SparseEstimator]]
    #: What the losses of a fold are called in progress lines.
    _loss_name: ClassVar[str] = "mean squared error"
    #: Errors in units of the loss: twice the squared loss is the squared error.
    _error_per_loss: ClassVar[float] = 2.0
    #: Attributes that only some fits set: left by an earlier one, they would be wrong.
    _only_sometimes: ClassVar[frozenset[str]] = frozenset({"mse_path_", "score_path_"})

    def get_metadata_routing(self) -> MetadataRouter:
        """Get the metadata that a fit takes, of samples and for the splitter and the scorer.

        Returns
        -------
        routing : MetadataRouter
            Who requests which metadata.
        """
        return metadata_router(self, self._scorer())

    def _scorer(self) -> Any:
        return None if self.scoring is None else check_scoring(self, self.scoring)

    def _held_out(
        self,
        X: Any,
        y: Any,
        loss: Loss,
        sample_weight: Any,
        params: dict[str, Any],
        readout: Readout | None = None,
    ) -> HeldOut:
        """Folds and what scores them, checked before any work.

        ``sample_weight`` and ``params`` are what the user gave to ``fit``; ``readout`` says what
        coefficients mean, by default those of the features of X.
        """
        scorer = self._scorer()
        given = None if sample_weight is None else check_weights(sample_weight, X)
        routed = route(self, scorer, params, given)
        folds = self._usable(self._folds(X, y, loss.weights, routed.split), loss)
        if scorer is None:
            return HeldOut(folds, None)
        classes = self.classes_ if is_classifier(self) else None
        readout = readout or CountedFeatures(self.penalty_weights)
        model = self._model_of_one_point()
        scores = NegativeScores(self.scoring, scorer, model, X, y, routed.score, readout, classes)
        scores.check(folds, loss)
        return HeldOut(folds, scores)

    def _model_of_one_point(self) -> SparseEstimator:
        """An estimator of one point, not fitted, with the parameters that scorers may ask for."""
        return self._of_one_point()

    def _folds(self, X: Any, y: Any, weights: Array, options: dict[str, Any]) -> list[Fold]:
        return make_folds(split_samples(self, X, y, options), weights)

    def _usable(self, folds: list[Fold], loss: Loss) -> list[Fold]:
        """The folds that the loss can be fitted on; a family refuses or mends others."""
        return folds

    def _search(
        self,
        tasks: list[Task],
        grids: list[Grid],
        held_out: HeldOut,
    ) -> Choice:
        """Choose among the points of all tasks, which differ in a parameter besides the grid."""
        progress = Progress(type(self).__name__, "path", len(tasks), verbose=int(self.verbose))
        progress.say(f"{grids[0]} on all samples")
        paths = [_complete_path(task, grid) for task, grid in zip(tasks, grids, strict=True)]
        for name in self._only_sometimes & vars(self).keys():
            delattr(self, name)
        chosen, point, message = self._choose(tasks, grids, paths, held_out)
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
        held_out: HeldOut,
    ) -> tuple[int, int, str]:
        """Position of the task and of the point, and why a fit did not converge if one did not."""
        name, per_loss = self._errors_of(tasks[0].loss)
        validation = CrossValidation(
            type(self).__name__,
            name if self.scoring is None else f"negative {self.scoring}",
            held_out.scores,
            per_loss,
            self.n_jobs,
            int(self.verbose),
        )
        runs = [
            validation.run(task, grid, held_out.folds)
            for task, grid in zip(tasks, grids, strict=True)
        ]
        tables = np.stack([table for table, _ in runs])
        errors = tables if len(tasks) > 1 else tables[0]
        if self.scoring is None:
            self._store_losses(errors)
        else:
            self.score_path_ = -errors
        counts = [task.n_features(fits) for task, fits in zip(tasks, paths, strict=True)]
        flat = choose(np.concatenate(tables), np.concatenate(counts), self.selection)
        message = next(filter(None, (message for _, message in runs)), "")
        return *divmod(flat, tables.shape[1]), message

    def _errors_of(self, loss: Loss) -> tuple[str, float]:
        """What the losses of a fold are called, and their unit in units of the loss."""
        return self._loss_name, self._error_per_loss

    def _store_losses(self, errors: Array) -> None:
        """Set the attribute that holds the losses of the folds.

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
        self._store_path(path)
        self.alpha_ = float(path.alphas[point])
        self.n_features_ = int(path.n_features[point])

    def _store_path(self, path: Any) -> None:
        """Set the attributes that hold the fits of the path."""
        self.alphas_, self.n_features_path_ = path.alphas, path.n_features
        self.coef_path_, self.intercept_path_ = path.coefs, path.intercepts


def _complete_path(task: PathTask, grid: Grid) -> PathFits:
    fits = task.fit_along(grid)
    if fits.interrupted:
        raise KeyboardInterrupt
    return fits
