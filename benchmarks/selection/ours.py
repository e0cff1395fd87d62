"""The selectors of this package."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from sksparse.feature_selection import GroupLassoSelector
from sksparse.linear_model import L0Classifier, L0Regressor

from .choosing import Choose, Chosen, Task

#: Ways of the network's selector, the default first.
METHODS = ("elimination", "gates", "group_lasso", "hierarchy", "deep_lasso", "attention")


def best_subset(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The best subset of a linear model, a fit for each number."""
    kind = L0Regressor if task.is_regression else L0Classifier
    return {number: strongest(kind(max_features=number).fit(X, y).coef_) for number in task.numbers}


def group_lasso(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The group lasso; a group holds the coefficients of a column for all classes."""
    return {
        number: strongest(GroupLassoSelector(max_groups=number).fit(X, y).coef_)
        for number in task.numbers
    }


def strongest(coef: np.ndarray) -> np.ndarray:
    """The columns in use, that of the largest coefficients first."""
    sizes = np.linalg.norm(np.atleast_2d(coef), axis=0)
    return np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]


def network(X: np.ndarray, y: np.ndarray, task: Task, *, method: str) -> Chosen:
    """The selector by a network: one fit ranks all columns."""
    from sksparse.feature_selection import SparseMLPSelector

    selector: Any = SparseMLPSelector(
        method=method, max_features=min(task.numbers), random_state=task.seed
    ).fit(X, y)
    # the columns that are kept share the first rank
    order = np.lexsort((-selector.feature_importances_, selector.ranking_))
    return {number: order[:number] for number in task.numbers}


NETWORKS: dict[str, Choose] = {
    f"network, {method}": partial(network, method=method) for method in METHODS
}
LINEAR: dict[str, Choose] = {"L0": best_subset, "group lasso": group_lasso}
