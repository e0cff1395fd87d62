"""LassoNet, stochastic gates, a forest, the L1 norm and mutual information."""

from __future__ import annotations

import collections
import collections.abc
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import l1_min_c

from .choosing import Choose, Chosen, Task, best

#: Of ten settings, among them those of the package's examples, the best on a part of the training
#: rows of mice protein and digits; with these its fits are also the fastest.
STG_SETTINGS: dict[str, Any] = {
    "hidden_dims": [128],
    "activation": "relu",
    "optimizer": "Adam",
    "learning_rate": 1e-3,
    "batch_size": 100,
    "sigma": 0.5,
    "lam": 2.0,
}
N_EPOCHS = 300
N_TREES = 500
#: Strengths of the L1 norm, strongest first; relative to one that leaves nothing for regression.
L1_STRENGTHS = np.geomspace(1, 1e-4, 60)


def lassonet(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """LassoNet with its default settings: the columns that leave its path last.

    Of several that leave at the same strength, that with the largest weights to the output, where
    they were last looked at, is the better one.
    """
    from lassonet import LassoNetClassifier, LassoNetRegressor

    model = (LassoNetRegressor if task.is_regression else LassoNetClassifier)(
        verbose=0, random_state=task.seed, torch_seed=task.seed
    )
    last = np.zeros(X.shape[1])

    def look(model: Any, history: list[Any]) -> None:
        norms = model.model.skip.weight.detach().norm(dim=0).numpy()
        last[norms > 0] = norms[norms > 0]

    model.path(X, y, callback=look)
    strengths = model.feature_importances_.numpy()
    order = np.lexsort((-last, -strengths))
    return {number: order[:number] for number in task.numbers}


def stochastic_gates(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """STG: the columns whose gates are open the widest."""
    for name in ("Mapping", "Sequence", "Set"):
        # its release uses names that Python 3.10 moved
        setattr(collections, name, getattr(collections.abc, name))
    from stg import STG

    torch.manual_seed(task.seed)
    model = STG(
        task_type="regression" if task.is_regression else "classification",
        device="cpu",
        input_dim=X.shape[1],
        output_dim=1 if task.is_regression else int(y.max()) + 1,
        **STG_SETTINGS,
    )
    targets = y.reshape(-1, 1) if task.is_regression else y
    model.fit(X, targets, nr_epochs=N_EPOCHS, verbose=False, shuffle=True)
    return best(model.get_gates(mode="raw"), task)


def forest(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The importances of a random forest."""
    kind = RandomForestRegressor if task.is_regression else RandomForestClassifier
    return best(kind(N_TREES, random_state=task.seed).fit(X, y).feature_importances_, task)


def mutual_information(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """Each column's mutual information with the target."""
    estimate = mutual_info_regression if task.is_regression else mutual_info_classif
    return best(estimate(X, y, random_state=task.seed), task)


def l1(X: np.ndarray, y: np.ndarray, task: Task) -> Chosen:
    """The strongest L1 norm that leaves enough columns, and of these the largest coefficients.

    For classes it is that of logistic regression, one class against the others.
    """
    found: Chosen = {}
    for strength in L1_STRENGTHS:
        sizes = np.linalg.norm(coefficients(X, y, strength, task), axis=0)
        for number in task.numbers:
            if number not in found and np.count_nonzero(sizes) >= number:
                found |= best(sizes, Task((number,), task.is_regression, task.seed))
        if len(found) == len(task.numbers):
            break
    else:
        # the last strength leaves too few
        found = {**best(sizes, task), **found}
    return found


def coefficients(X: np.ndarray, y: np.ndarray, strength: float, task: Task) -> np.ndarray:
    """Of shape (n_outputs, n_features), at a share of the strength that leaves none."""
    if task.is_regression:
        most = np.abs((X - X.mean(axis=0)).T @ y).max() / len(y)
        return Lasso(alpha=strength * most).fit(X, y).coef_[np.newaxis]
    weakest = l1_min_c(X, y, loss="log")
    model = LogisticRegression(
        l1_ratio=1.0, C=weakest / strength, solver="liblinear", random_state=task.seed
    )
    return np.vstack([part.coef_ for part in OneVsRestClassifier(model).fit(X, y).estimators_])


RIVALS: dict[str, Choose] = {
    "LassoNet": lassonet,
    "STG": stochastic_gates,
    "random forest": forest,
    "L1": l1,
    "mutual information": mutual_information,
}
#: Packages that some of them need.
PACKAGES = {"LassoNet": "lassonet", "STG": "stg"}
