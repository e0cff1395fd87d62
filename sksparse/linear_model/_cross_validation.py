"""Cross-validation of a path: errors on held-out samples, and the choice among its points."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from sksparse._fit_tasks import FitTasks, concurrent_fit_tasks
from sksparse._interrupts import check
from sksparse._progress import Progress
from sksparse._typing import Array, Indices, Mask
from sksparse.linear_model._path_protocol import Grid, PathFits, PathTask
from sksparse.losses import Loss

#: What is wrong with a fold that trains a model of counts on zeros.
ONLY_ZEROS = (
    "trains on samples with y = 0 alone, whose mean has no logarithm; give fewer folds, or splits "
    "that spread the positive counts"
)


class Fold(NamedTuple):
    """A split of the samples, by how often each is drawn.

    Parameters
    ----------
    name : str
        What to call it in messages.
    train, test : ndarray of shape (n_samples,)
        Sample weights with sum one, zero outside the part.
    rows : ndarray of shape (n_test,)
        Positions of the test samples.
    loss : Loss or None, default=None
        The loss on the training part, where it is not that of all samples with other weights.
    classes : ndarray or None, default=None
        Positions of the classes that ``loss`` knows.
    """

    name: str
    train: Array
    test: Array
    rows: Indices
    loss: Loss | None = None
    classes: Indices | None = None

    def training_loss(self, loss: Loss) -> Loss:
        """The loss on the training part, from that of all samples."""
        return loss.with_weights(self.train) if self.loss is None else self.loss


#: Errors of all fits of a path on the test samples of a fold.
Errors = Callable[[PathFits, Fold], Array]


def make_folds(splits: list[tuple[Any, Any]], weights: Array) -> list[Fold]:
    """Folds from the positions or masks that a splitter gives.

    Raises
    ------
    ValueError
        Where a part has no sample with a positive weight.
    """
    everything = np.arange(len(weights))
    folds = []
    for number, (train, test) in enumerate(splits, 1):
        name = f"fold {number}/{len(splits)}"
        rows = everything[test]
        parts = [_share(everything[train], weights), _share(rows, weights)]
        for part, what in zip(parts, ("training", "test"), strict=True):
            if not part.sum() > 0.0:
                raise ValueError(
                    f"cv: {name} has no {what} sample with a positive sample_weight; give other "
                    "splits, or fewer folds."
                )
        folds.append(Fold(name, parts[0] / parts[0].sum(), parts[1] / parts[1].sum(), rows))
    return folds


def require_samples(folds: list[Fold], counted: Mask, part: str, without: str) -> None:
    """Refuse folds of which a part, "train" or "test", has no sample that is counted.

    Parameters
    ----------
    folds : list of Fold
        Splits of the samples.
    counted : ndarray of shape (n_samples,)
        The samples of which there must be one with a weight.
    part : {"train", "test"}
        The part.
    without : str
        What is wrong without one, and the remedy.

    Raises
    ------
    ValueError
        Where there is none.
    """
    for fold in folds:
        if not np.any(counted[getattr(fold, part) > 0.0]):
            raise ValueError(f"cv: {fold.name} {without}.")


def _share(rows: Indices, weights: Array) -> Array:
    return weights * np.bincount(rows, minlength=len(weights))


@dataclass(frozen=True)
class CrossValidation:
    """Errors on held-out samples. A fold is the same task with other sample weights.

    Parameters
    ----------
    name : str
        Name of the estimator, for progress lines.
    error_name : str
        Name of the errors, for messages.
    errors : callable or None
        Errors of the fits of a fold; None is the mean loss times ``per_loss``.
    per_loss : float
        Errors in units of the loss: 2 for a squared error.
    n_jobs : int or None
        Folds at the same time.
    verbose : int
        What is written about the folds; see :mod:`sksparse._progress`.
    """

    name: str
    error_name: str
    errors: Errors | None
    per_loss: float
    n_jobs: int | None
    verbose: int

    def run(self, task: PathTask, grid: Grid, folds: list[Fold]) -> tuple[Array, str]:
        """Errors of shape (n_points, n_folds), and why a fit did not converge if one did not."""
        results = []
        with (
            Progress(self.name, "fold", len(folds), verbose=self.verbose) as progress,
            concurrent_fit_tasks("folds", len(folds)) as runs,
        ):
            pairs = zip(folds, runs, strict=True)
            jobs = (delayed(self._one)(task, grid, fold, run) for fold, run in pairs)
            for result in Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs):
                check()
                results.append(result)
                progress.step(self._describe, grid, result[0])
        columns, messages = zip(*results, strict=True)
        errors = np.column_stack(columns)
        undefined = np.isnan(errors).any(axis=1)
        if undefined.all():
            raise ValueError(
                f"{self.error_name} is nan in {int(np.isnan(errors).any(axis=0).sum())} folds; "
                "give a scoring that is defined on every fold, or fewer folds."
            )
        if undefined.any():
            warnings.warn(
                f"{self.error_name} is nan for {int(undefined.sum())} of {len(errors)} points of "
                f"{grid}, as may happen for models without features: these are not chosen.",
                UserWarning,
                stacklevel=2,
            )
        return errors, next(filter(None, messages), "")

    def _one(self, task: PathTask, grid: Grid, fold: Fold, run: FitTasks) -> tuple[Array, str]:
        check()
        run.begin()
        part = task.with_loss(fold.training_loss(task.loss))
        fits = part.fit_along(grid)
        if fits.interrupted:
            raise KeyboardInterrupt
        if self.errors is None:
            errors = part.losses(fits, fold.test) * self.per_loss
        else:
            errors = self.errors(fits, fold)
        run.end()
        return errors, fits.message

    def _describe(self, grid: Grid, errors: Array) -> str:
        best = int(np.argmin(np.nan_to_num(errors, nan=np.inf)))
        return f"{grid}, least {self.error_name} {errors[best]:.4g} at {grid.points[best]:.3g}"


def choose(errors: Array, n_features: Indices, selection: str) -> int:
    """The point with the least mean error, or the sparsest within one standard error of it."""
    mean = np.nan_to_num(errors.mean(axis=1), nan=np.inf)
    best = int(np.argmin(mean))
    n_folds = errors.shape[1]
    if selection == "min" or n_folds == 1:
        return best
    bound = mean[best] + errors[best].std(ddof=1) / np.sqrt(n_folds)
    good = np.flatnonzero(mean <= bound)
    sparsest = good[n_features[good] == n_features[good].min()]
    return int(sparsest[np.argmin(mean[sparsest])])
