"""The selectors of this package."""

from __future__ import annotations

from functools import partial

import numpy as np

from sksparse.feature_selection import GroupLassoSelector, SparseMLPSelector
from sksparse.feature_selection._path_selection import METHODS
from sksparse.linear_model import L0Classifier, L0Regressor

from .choosing import Choose, Chosen, Task


def best_subset(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The best subset of a linear model, a fit for each number."""
    kind = L0Regressor if task.is_regression else L0Classifier
    return {number: strongest(kind(max_features=number).fit(X, y).coef_) for number in task.numbers}


def group_lasso(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The group lasso; a group holds the coefficients of a column for all classes.

    Without a ridge, as many columns as are asked for separate the digits, and the fit takes
    minutes.
    """
    return {
        number: strongest(
            GroupLassoSelector(max_groups=number, l2=0.01, loss=loss_of(y, task)).fit(X, y).coef_
        )
        for number in task.numbers
    }


def loss_of(y: np.ndarray, task: Task) -> str:
    """The loss: from many classes that are numbered, it cannot be told."""
    if task.is_regression:
        return "squared"
    return "logistic" if len(np.unique(y)) == 2 else "multinomial"


def strongest(coef: np.ndarray) -> np.ndarray:
    """The columns in use, that of the largest coefficients first."""
    sizes = np.linalg.norm(np.atleast_2d(coef), axis=0)
    return np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]


def network(X: np.ndarray, y: np.ndarray, task: Task, *, method: str) -> Chosen:
    """The selector by a network: one fit ranks all columns."""
    selector = SparseMLPSelector(
        method=method,
        max_features=min(task.numbers),
        loss=loss_of(y, task),
        random_state=task.seed,
    ).fit(X, y)
    # the columns that are kept share the first rank
    order = np.lexsort((-selector.feature_importances_, selector.ranking_))
    return {number: order[:number] for number in task.numbers}


NETWORKS: dict[str, Choose] = {
    f"network, {method}": partial(network, method=method) for method in METHODS
}
LINEAR: dict[str, Choose] = {"L0": best_subset, "group lasso": group_lasso}
